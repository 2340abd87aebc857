package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"drumlin/internal/secure"
)

// slot is one field of a section, or a section in it.
type slot struct {
	name    string
	field   any           // pointer to the field
	section reflect.Value // of a section; else not valid
}

// slots returns the fields of a section, a struct, in their order.
func slots(section reflect.Value) []slot {
	out := make([]slot, 0, section.NumField())
	for i := range section.NumField() {
		s := slot{name: section.Type().Field(i).Tag.Get("yaml"), field: section.Field(i).Addr().Interface()}
		if section.Field(i).Kind() == reflect.Struct {
			s.section = section.Field(i)
		}
		out = append(out, s)
	}
	return out
}

// assign puts a text into a field of one value. Its errors do not hold the text, which may be a secret.
func assign(field any, text string) (err error) {
	switch field := field.(type) {
	case *string:
		*field = text
	case *secure.Secret:
		*field = secure.Secret(text)
	case *[]string:
		*field = splitList(text)
	case *bool:
		switch text {
		case "true", "false":
			*field = text == "true"
		default:
			return errors.New("write true or false")
		}
	case *int:
		*field, err = strconv.Atoi(text)
		if err != nil {
			return errors.New("write a whole number")
		}
	case *Bytes:
		*field, err = parseBytes(text)
	case *time.Duration:
		*field, err = time.ParseDuration(text)
		if err != nil {
			return errors.New("write a number and its unit, such as 30s, 5m or 1h30m")
		}
	default:
		return errors.New("one value is not enough for this field")
	}
	return err
}

// splitList takes a list apart that is written as one text, with commas.
func splitList(text string) []string {
	var out []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

type byteUnit struct {
	name string
	size int64
}

func byteUnits() []byteUnit {
	return []byteUnit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

func parseBytes(text string) (Bytes, error) {
	number, size := text, int64(1)
	for _, unit := range byteUnits() {
		if before, ok := strings.CutSuffix(text, unit.name); ok {
			number, size = strings.TrimSpace(before), unit.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return 0, errors.New("write a number of bytes, or such as 64KiB, 512MiB or 2GiB")
	case n < 0 || n > math.MaxInt64/size:
		return 0, errors.New("the size is out of range")
	}
	return Bytes(n * size), nil
}

// String writes a size with the largest unit that divides it.
func (b Bytes) String() string {
	for _, unit := range byteUnits() {
		if b != 0 && int64(b)%unit.size == 0 {
			return fmt.Sprintf("%d%s", int64(b)/unit.size, unit.name)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// durationText writes 10m0s as 10m.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
