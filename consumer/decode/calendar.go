package decode

const (
	millisPerSecond = 1000
	millisPerMinute = 60 * millisPerSecond
	millisPerHour   = 60 * millisPerMinute
	millisPerDay    = 24 * millisPerHour

	// maxDays is how many days from 1970 on an instant may lie, with two days to spare for time and offset, so that its
	// milliseconds fit in 64 bits.
	maxDays = 1<<63/millisPerDay - 3
)

// civilDays returns the days from 1970-01-01 to the date, in the proleptic Gregorian calendar. The month may be 1 to 12; the
// day is not checked.
func civilDays(year int64, month, day int) int64 {
	// Years begin in March here, so that a leap day ends its year, and are counted within eras of 400 years.
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	yearOfEra := year - era*400
	dayOfYear := int64((153*(month-3)+2)/5 + day - 1)
	return era*146097 + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - 719468
}

func isLeap(year int64) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysInMonth(year int64, month int) int {
	switch month {
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

func daysInYear(year int64) int {
	if isLeap(year) {
		return 366
	}
	return 365
}

// weekYearStart returns the day on which the ISO week year begins: the Monday of the week that holds January 4th.
func weekYearStart(year int64) int64 {
	fourth := civilDays(year, 1, 4)
	weekday := (fourth + 3) % 7 // 1970-01-01 was a Thursday
	if weekday < 0 {
		weekday += 7
	}
	return fourth - weekday
}

// instant returns the milliseconds of a day and a time of day at an offset.
func instant(days, timeMillis, offsetMillis int64) (millis int64, ok bool) {
	if days > maxDays || days < -maxDays {
		return 0, false
	}
	return days*millisPerDay + timeMillis - offsetMillis, true
}
