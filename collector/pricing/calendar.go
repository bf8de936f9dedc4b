package pricing

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	millisPerMinute = 60_000
	millisPerDay    = 24 * 60 * millisPerMinute
	minutesPerDay   = 24 * 60
)

// window is a half-open range of minutes of the UTC day.
type window struct{ start, end int64 }

// calendar holds the hours of a UTC week in which a row applies.
type calendar struct {
	windows []window
	// weekdays has bit 1 for Monday to bit 7 for Sunday (ISO).
	weekdays uint8
	// exceptDays are days since 1970 on which the calendar does not apply.
	exceptDays map[int64]struct{}
}

// holds says whether the instant falls into a window; integer arithmetic on UTC milliseconds only.
func (c *calendar) holds(atMillis int64) bool {
	day, inDay := floorDay(atMillis)
	if c.weekdays>>isoWeekday(day)&1 == 0 {
		return false
	}
	if _, except := c.exceptDays[day]; except {
		return false
	}
	minute := inDay / millisPerMinute
	for _, hours := range c.windows {
		if hours.start <= minute && minute < hours.end {
			return true
		}
	}
	return false
}

// meets says whether two calendars have a weekday and a minute in common.
func (c *calendar) meets(other *calendar) bool {
	if c.weekdays&other.weekdays == 0 {
		return false
	}
	for _, ours := range c.windows {
		for _, theirs := range other.windows {
			if ours.start < theirs.end && theirs.start < ours.end {
				return true
			}
		}
	}
	return false
}

// floorDay splits an instant into the day since 1970 and the milliseconds in it, before 1970 too.
func floorDay(atMillis int64) (day, inDay int64) {
	day, inDay = atMillis/millisPerDay, atMillis%millisPerDay
	if inDay < 0 {
		day, inDay = day-1, inDay+millisPerDay
	}
	return day, inDay
}

// isoWeekday returns 1 (Monday) to 7. 1970-01-01 was a Thursday.
func isoWeekday(day int64) int64 { return ((day+3)%7+7)%7 + 1 }

// instantForm and dayForm are stricter than package time: both languages take the same texts.
var (
	instantForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$`)
	dayForm     = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
)

var errNoInstant = errors.New("must be an RFC 3339 instant with time, in UTC (...Z)")

// parseInstant returns an RFC 3339 UTC instant as milliseconds since 1970.
func parseInstant(text string) (int64, error) {
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !instantForm.MatchString(text) || parsed.Year() < 1 {
		return 0, errNoInstant
	}
	return parsed.UnixMilli(), nil
}

// parseDay returns a date (2026-10-01) as days since 1970.
func parseDay(text string) (int64, error) {
	parsed, err := time.Parse(time.DateOnly, text)
	if err != nil || !dayForm.MatchString(text) || parsed.Year() < 1 {
		return 0, errors.New("must be a date such as 2026-10-01")
	}
	day, _ := floorDay(parsed.UnixMilli())
	return day, nil
}

// parseMinute returns "HH:MM" as the minute of the day; 24:00 is the end of it.
func parseMinute(text string) (int64, error) {
	bad := errors.New("must be a time of day such as 01:00")
	hours, minutes, ok := strings.Cut(text, ":")
	if !ok || len(hours) != 2 || len(minutes) != 2 || !allDigits(hours) || !allDigits(minutes) {
		return 0, bad
	}
	hour, _ := strconv.Atoi(hours)
	minute, _ := strconv.Atoi(minutes)
	if minute > 59 || hour*60+minute > minutesPerDay {
		return 0, bad
	}
	return int64(hour*60 + minute), nil
}
