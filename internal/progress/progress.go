// Package progress shows how far long work has come: a bar on a terminal, a plain line now and then elsewhere. It never
// decides anything, and writes only to the writer that it is given.
package progress

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// plainInterval is how often a line is written where there is no terminal.
const plainInterval = 5 * time.Second

// Meter counts work done. It is not safe for concurrent use.
type Meter struct {
	bar      *progressbar.ProgressBar // nil: plain lines
	w        io.Writer
	label    string
	total    int64 // −1: unknown
	done     int64
	started  time.Time
	lastLine time.Time
	now      func() time.Time
}

// New begins to measure. A total of −1 means that the end is not known beforehand.
func New(w io.Writer, label string, total int64, now func() time.Time) *Meter {
	m := &Meter{w: w, label: label, total: total, started: now(), lastLine: now(), now: now}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		m.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(label),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
	}
	return m
}

// Set says how much has been done so far.
func (m *Meter) Set(done int64) {
	m.done = done
	if m.bar != nil {
		_ = m.bar.Set64(done) // a terminal that cannot be drawn on is no reason to stop the work
		return
	}
	if now := m.now(); now.Sub(m.lastLine) >= plainInterval {
		m.lastLine = now
		m.line("")
	}
}

// Finish ends the display with one line that stays.
func (m *Meter) Finish() {
	if m.bar != nil {
		_ = m.bar.Finish()
	}
	m.line("done: ")
}

// Stop ends the display of work that did not come to its end. How far it came is for the caller to tell.
func (m *Meter) Stop() {
	if m.bar != nil {
		_ = m.bar.Exit()
		fmt.Fprintln(m.w)
	}
}

func (m *Meter) line(prefix string) {
	elapsed := m.now().Sub(m.started)
	rate := float64(m.done) / max(elapsed.Seconds(), 0.001)
	if m.total > 0 && prefix == "" {
		fmt.Fprintf(m.w, "%s: %d of %d (%.0f %%), %.0f/s\n", m.label, m.done, m.total, 100*float64(m.done)/float64(m.total), rate)
		return
	}
	fmt.Fprintf(m.w, "%s%s: %d in %s, %.0f/s\n", prefix, m.label, m.done, elapsed.Round(time.Millisecond), rate)
}
