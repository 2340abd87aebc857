package generate

import (
	"math/rand/v2"
	"strconv"
)

const (
	worldUsers    = 50_000
	worldPages    = 2_000
	worldProducts = 5_000
	openSessions  = 512 // visits under way at any time
)

// world is who visits and what there is to see.
type world struct {
	seed     uint64
	users    *skewed
	pages    *skewed
	products *skewed
	events   *skewed
	sessions [openSessions]session
}

// session is one visit: several events of one user on one device.
type session struct {
	left        int // events to come
	mobile      bool
	userID      []byte // JSON: a string, or null for a visitor who is not logged in
	anonymousID [uuidLen]byte
	context     []byte // JSON members of the context that stay the same throughout the visit
	page        int
}

func newWorld(seed uint64, rng *rand.PCG) *world {
	w := &world{
		seed: seed, users: newSkewed(worldUsers), pages: newSkewed(worldPages), products: newSkewed(worldProducts),
		events: newSkewed(len(trackEvents)),
	}
	for i := range w.sessions {
		w.open(&w.sessions[i], rng)
	}
	return w
}

// visit draws the session of the next event.
func (w *world) visit(rng *rand.PCG) *session {
	s := &w.sessions[below(rng, openSessions)]
	if s.left == 0 {
		w.open(s, rng)
	}
	s.left--
	return s
}

// mix makes a number of many bits out of the seed and what is asked about, for properties that never change.
func mix(seed, subject, question uint64) uint64 {
	x := seed ^ subject*0x9e3779b97f4a7c15 ^ question*0xd1b54a32d192ed03
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// open begins a new visit. Who a user is, and most of what he uses, is fixed by his number.
func (w *world) open(s *session, rng *rand.PCG) {
	user := uint64(w.users.draw(rng))
	trait := func(question uint64, n int) int { return int(mix(w.seed, user, question) % uint64(n)) }
	s.left = 1 + below(rng, 12) + below(rng, 12)
	s.page = w.pages.draw(rng)
	appendUUID(s.anonymousID[:0], mix(w.seed, user, 1), mix(w.seed, user, 2))
	s.userID = append(s.userID[:0], "null"...)
	if trait(3, 100) < 60 {
		s.userID = append(s.userID[:0], `"user_`...)
		s.userID = strconv.AppendUint(s.userID, 100_000+user, 10)
		s.userID = append(s.userID, '"')
	}
	d := devices[trait(4, len(devices))]
	s.mobile = d.mobile
	l := locales[trait(5, len(locales))]
	b := append(s.context[:0], `"library":{"name":"`...)
	b = append(append(b, d.sdk...), `","version":"`...)
	b = append(append(b, d.version...), `"},"ip":"`...)
	b = appendIP(b, mix(w.seed, user, 6))
	b = append(append(b, `","userAgent":"`...), d.userAgent...)
	b = append(append(b, `","locale":"`...), l.name...)
	b = append(append(b, `","timezone":"`...), l.zone...)
	b = append(append(b, `","os":{"name":"`...), d.os...)
	b = append(append(b, `","version":"`...), d.osVersion...)
	b = append(append(b, `"},"device":{"type":"`...), d.kind...)
	b = append(append(b, `","manufacturer":"`...), d.maker...)
	b = append(append(b, `","model":"`...), d.model...)
	b = append(b, `"}`...)
	if below(rng, 100) < 25 {
		c := campaigns[below(rng, len(campaigns))]
		b = append(append(b, `,"campaign":{"source":"`...), c.source...)
		b = append(append(b, `","medium":"`...), c.medium...)
		b = append(append(b, `","name":"`...), c.name...)
		b = append(b, `"}`...)
	}
	s.context = b
}

func appendIP(b []byte, x uint64) []byte {
	for i := range 4 {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, 1+(x>>(8*i)&0xff)%254, 10)
	}
	return b
}

const uuidLen = 36

// appendUUID appends a UUID of version 4 made of the bits of hi and lo.
func appendUUID(b []byte, hi, lo uint64) []byte {
	const digits = "0123456789abcdef"
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(0xc<<60) | 0x8<<60
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b = append(b, '-')
		}
		x := hi
		if i >= 16 {
			x = lo
		}
		b = append(b, digits[x>>(60-4*(i%16))&15])
	}
	return b
}
