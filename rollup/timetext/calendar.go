package timetext

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

// civil is an instant taken apart.
type civil struct {
	year       int64
	month, day int
	millis     int64 // of the day
	days       int64 // from 1970-01-01
}

func civilOf(millis int64) civil {
	days := millis / millisPerDay
	if millis%millisPerDay < 0 {
		days--
	}
	// Years begin in March here, as in civilDays.
	shifted := days + 719468
	era := shifted / 146097
	if shifted < 0 {
		era = (shifted - 146096) / 146097
	}
	dayOfEra := shifted - era*146097
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	month := (5*dayOfYear + 2) / 153
	c := civil{
		year: yearOfEra + era*400, month: int(month) + 3, day: int(dayOfYear-(153*month+2)/5) + 1,
		days: days, millis: millis - days*millisPerDay,
	}
	if c.month > 12 {
		c.month -= 12
		c.year++
	}
	return c
}

func (c civil) dayOfYear() int { return int(c.days-civilDays(c.year, 1, 1)) + 1 }

// dayOfWeek counts from Monday, 1.
func (c civil) dayOfWeek() int {
	d := (c.days + 3) % 7
	if d < 0 {
		d += 7
	}
	return int(d) + 1
}

// isoWeek returns the ISO week and the year that it belongs to.
func (c civil) isoWeek() (year int64, week int) {
	year = c.year
	switch {
	case c.days >= weekYearStart(year+1):
		year++
	case c.days < weekYearStart(year):
		year--
	}
	return year, int(c.days-weekYearStart(year))/7 + 1
}

// AddMonths moves an instant by whole months of the calendar, to the last day of the month where the month is too short. ok
// is false where the result does not fit.
func AddMonths(millis, months int64) (out int64, ok bool) {
	const farthest = 12 * 1_000_000_000
	if months > farthest || months < -farthest {
		return 0, false
	}
	c := civilOf(millis)
	index := c.year*12 + int64(c.month-1) + months
	year := index / 12
	if index%12 < 0 {
		year--
	}
	month := int(index-year*12) + 1
	return instant(civilDays(year, month, min(c.day, daysInMonth(year, month))), c.millis, 0)
}

// Months counts the months of the calendar from year 0 on to the month that holds the instant.
func Months(millis int64) int64 {
	c := civilOf(millis)
	return c.year*12 + int64(c.month-1)
}

// Extract gives one part of an instant by its name, in capitals: Druid's units of timestamp_extract. ok is false for a name
// that is not known.
func Extract(millis int64, unit string) (v int64, ok bool) {
	c := civilOf(millis)
	switch unit {
	case "EPOCH":
		return floorDiv(millis, millisPerSecond), true
	case "MILLISECOND":
		return c.millis % millisPerSecond, true
	case "SECOND":
		return c.millis / millisPerSecond % 60, true
	case "MINUTE":
		return c.millis / millisPerMinute % 60, true
	case "HOUR":
		return c.millis / millisPerHour, true
	case "DAY":
		return int64(c.day), true
	case "DOW", "ISODOW":
		return int64(c.dayOfWeek()), true
	case "DOY":
		return int64(c.dayOfYear()), true
	case "WEEK":
		_, week := c.isoWeek()
		return int64(week), true
	case "ISOYEAR":
		year, _ := c.isoWeek()
		return year, true
	case "MONTH":
		return int64(c.month), true
	case "QUARTER":
		return int64(c.month-1)/3 + 1, true
	case "YEAR":
		return c.year, true
	}
	return 0, false
}

// Units are the names that Extract knows.
func Units() []string {
	return []string{
		"EPOCH", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "DOW", "ISODOW", "DOY", "WEEK", "ISOYEAR", "MONTH",
		"QUARTER", "YEAR",
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
