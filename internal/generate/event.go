package generate

import (
	"strconv"
	"time"
)

// event appends a new event and returns where, from the event's first byte on, its anonymousId stands.
func (g *Generator) event(dst []byte, eventMillis int64) (out []byte, keyAt int) {
	from := len(dst)
	s := g.world.visit(g.content)
	if below(g.content, 100) < 30 {
		s.page = g.world.pages.draw(g.content)
	}
	g.made++
	b := append(dst, `{"messageId":"`...)
	b = appendUUID(b, mix(g.world.seed, g.made, 7), mix(g.world.seed, g.made, 8))
	b = append(b, `","type":"`...)
	kind := g.eventType(s)
	b = append(b, kind...)
	b = append(b, '"')
	var track trackEvent
	if kind == "track" {
		track = trackEvents[g.world.events.draw(g.content)]
		b = append(append(append(b, `,"event":"`...), track.name...), '"')
	}
	b = append(append(b, `,"userId":`...), s.userID...)
	b = append(b, `,"anonymousId":"`...)
	keyAt = len(b) - from
	b = append(b, s.anonymousID[:]...)
	b = append(b, `","timestamp":"`...)
	b = g.day.appendTime(b, eventMillis)
	b = append(b, '"')
	b = g.properties(b, kind, track.kind, s)
	b = append(append(b, `,"context":{`...), s.context...)
	if !s.mobile {
		b = append(b, `,"page":`...)
		b = appendPage(b, s.page)
	}
	return append(b, '}', '}'), keyAt
}

func (g *Generator) eventType(s *session) string {
	switch draw := below(g.content, 1000); {
	case draw < 720:
		return "track"
	case draw < 930 && s.mobile:
		return "screen"
	case draw < 930:
		return "page"
	case draw < 980:
		return "identify"
	case draw < 995:
		return "group"
	default:
		return "alias"
	}
}

// properties appends what the type of event carries besides.
func (g *Generator) properties(b []byte, kind string, track eventKind, s *session) []byte {
	switch kind {
	case "track":
		b = append(b, `,"properties":{`...)
		b = g.trackProperties(b, track, s)
		return append(b, '}')
	case "page", "screen":
		b = append(b, `,"name":"`...)
		b = append(b, categories[s.page%len(categories)]...)
		b = append(b, `","properties":`...)
		return appendPage(b, s.page)
	case "identify":
		b = append(b, `,"traits":{"plan":"`...)
		b = append(b, [...]string{"free", "basic", "pro"}[below(g.content, 3)]...)
		b = append(b, `","logins":`...)
		b = strconv.AppendInt(b, int64(below(g.content, 500)), 10)
		b = append(b, `,"address":{"city":"Zürich","postalCode":null},"newsletter":`...)
		return append(strconv.AppendBool(b, below(g.content, 2) == 0), '}')
	case "group":
		b = append(b, `,"groupId":"org_`...)
		b = strconv.AppendInt(b, int64(below(g.content, 900)), 10)
		b = append(b, `","traits":{"employees":`...)
		return append(strconv.AppendInt(b, int64(1+below(g.content, 5000)), 10), '}')
	default:
		b = append(b, `,"previousId":"`...)
		b = append(b, s.anonymousID[:8]...)
		return append(b, '"')
	}
}

func (g *Generator) trackProperties(b []byte, kind eventKind, s *session) []byte {
	switch kind {
	case kindProduct:
		return g.appendProduct(b)
	case kindOrder:
		b = append(b, `"order_id":"o-`...)
		b = strconv.AppendUint(b, g.made, 36)
		b = append(b, `","currency":"EUR","total":`...)
		b = g.appendPrice(b, 500)
		b = append(b, `,"coupon":null,"products":[`...)
		for i := range 1 + below(g.content, 3) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '{')
			b = g.appendProduct(b)
			b = append(b, '}')
		}
		return append(b, ']')
	case kindSearch:
		b = append(b, `"query":"`...)
		b = append(b, searchWords[below(g.content, len(searchWords))]...)
		b = append(b, `","results":`...)
		b = strconv.AppendInt(b, int64(below(g.content, 300)), 10)
		b = append(b, `,"filters":[{"type":"category","value":"`...)
		b = append(b, categories[below(g.content, len(categories))]...)
		return append(b, `"}]`...)
	case kindMedia:
		b = append(b, `"asset_id":"m`...)
		b = strconv.AppendInt(b, int64(g.world.pages.draw(g.content)), 10)
		b = append(b, `","position":`...)
		b = strconv.AppendInt(b, int64(below(g.content, 3600)), 10)
		b = append(b, `,"full_screen":`...)
		return strconv.AppendBool(b, s.mobile)
	case kindForm:
		b = append(b, `"form":"f`...)
		b = strconv.AppendInt(b, int64(below(g.content, 20)), 10)
		b = append(b, `","rating":`...)
		b = strconv.AppendInt(b, int64(1+below(g.content, 5)), 10)
		return append(b, `,"text":"line one\nline two"`...)
	default:
		b = append(b, `"label":"button-`...)
		b = strconv.AppendInt(b, int64(below(g.content, 60)), 10)
		b = append(b, `","position":`...)
		return strconv.AppendInt(b, int64(below(g.content, 12)), 10)
	}
}

// appendProduct appends the members of a product; its category and price are its own.
func (g *Generator) appendProduct(b []byte) []byte {
	product := g.world.products.draw(g.content)
	b = append(b, `"product_id":"p`...)
	b = strconv.AppendInt(b, int64(10_000+product), 10)
	b = append(b, `","category":"`...)
	b = append(b, categories[product%len(categories)]...)
	b = append(b, `","price":`...)
	b = appendCents(b, int64(199+mix(g.world.seed, uint64(product), 9)%20_000))
	b = append(b, `,"quantity":`...)
	return strconv.AppendInt(b, int64(1+below(g.content, 4)), 10)
}

func (g *Generator) appendPrice(b []byte, maxWhole int) []byte {
	return appendCents(b, int64(below(g.content, maxWhole*100)))
}

func appendCents(b []byte, cents int64) []byte {
	b = strconv.AppendInt(b, cents/100, 10)
	return append(b, '.', '0'+byte(cents/10%10), '0'+byte(cents%10))
}

func appendPage(b []byte, page int) []byte {
	category := categories[page%8]
	b = append(append(b, `{"path":"/`...), category...)
	b = append(b, '/')
	b = strconv.AppendInt(b, int64(page), 10)
	b = append(append(b, `","url":"https://shop.example.com/`...), category...)
	b = append(b, '/')
	b = strconv.AppendInt(b, int64(page), 10)
	b = append(append(b, `","title":"`...), category...)
	b = append(b, ` `...)
	b = strconv.AppendInt(b, int64(page), 10)
	return append(b, `"}`...)
}

// dayText keeps the text of the latest day, since most events share it.
type dayText struct {
	day  int64
	text []byte // 2006-01-02T
}

func (d *dayText) appendTime(b []byte, millis int64) []byte {
	const dayMillis = 86_400_000
	day := millis / dayMillis
	rest := millis % dayMillis
	if rest < 0 {
		day, rest = day-1, rest+dayMillis
	}
	if d.text == nil || d.day != day {
		d.day = day
		d.text = time.UnixMilli(day*dayMillis).UTC().AppendFormat(d.text[:0], "2006-01-02T")
	}
	b = append(b, d.text...)
	second, milli := rest/1000, rest%1000
	b = appendTwo(b, second/3600)
	b = append(b, ':')
	b = appendTwo(b, second/60%60)
	b = append(b, ':')
	b = appendTwo(b, second%60)
	return append(b, '.', '0'+byte(milli/100), '0'+byte(milli/10%10), '0'+byte(milli%10), 'Z')
}

func appendTwo(b []byte, v int64) []byte {
	return append(b, '0'+byte(v/10), '0'+byte(v%10))
}
