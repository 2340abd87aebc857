package query

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"drumlin/rollup"
	"drumlin/segment"
)

// shownRow is a row of the table as plain Go computes it; values are as SQL prints them.
type shownRow struct {
	millis int64
	values map[string]string
}

// table computes the table at a cut.
func (c *compacted) table(cut Cut) []shownRow {
	ends := map[int32]int64{}
	for _, p := range cut.Datasources[c.tab.datasource.Name][c.tab.datasource.Name] {
		ends[p.Partition] = p.Offset
	}
	var out []shownRow
	for at := t0; at < t0+3*hour; at += hour {
		rows := c.live(at, func(p *worldPartition) int64 { return ends[p.key.Partition] })
		d := c.definition(c.tab.bucketView(segment.Bucket{StartMillis: at, EndMillis: at + hour}).PlanSpec)
		out = append(out, c.shown(d, rows)...)
	}
	return out // no group spans hours
}

func (c *compacted) shown(d *rollup.Definition, rows []placedRow) []shownRow {
	plan := c.compile(d)
	var order []string
	groups := map[string][]placedRow{}
	for i, r := range rows {
		if !c.keeps(plan, r) {
			continue
		}
		key := fmt.Sprint(i)
		if c.rollup() {
			key = fmt.Sprint(plan.Truncate(r.millis*1000), c.dimensions(plan, r))
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], r)
	}
	var out []shownRow
	for _, key := range order {
		g := groups[key]
		row := shownRow{segment.FloorMillis(plan.Truncate(g[0].millis * 1000)), c.dimensions(plan, g[0])}
		if c.rollup() {
			for name, value := range metricsOf(g) {
				if slices.ContainsFunc(plan.Metrics().Metrics(), func(m rollup.Metric) bool { return m.Name == name }) {
					row.values[name] = value
				}
			}
		}
		out = append(out, row)
	}
	return out
}

func (c *compacted) dimensions(plan *rollup.BucketPlan, r placedRow) map[string]string {
	out := map[string]string{}
	for i, col := range c.tab.schema.Columns {
		if slices.ContainsFunc(plan.Dimensions(), func(d segment.Column) bool { return d.Name == col.Name }) {
			out[col.Name] = sqlText(r.values[i], c.rollup())
		}
	}
	return out
}

// sqlText prints a value as a cast to VARCHAR does. Grouping knows one zero.
func sqlText(v any, grouped bool) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case int64:
		return strconv.Quote(fmt.Sprint(v))
	case float64:
		switch {
		case math.IsNaN(v):
			return `"nan"`
		case math.IsInf(v, 0):
			return `"inf"`
		case v == 0 && grouped:
			return `"0.0"`
		}
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return strconv.Quote(text)
	}
	return "null"
}

// metricsOf aggregates in the plainest way. Prices are quarters, so that sums are exact.
func metricsOf(rows []placedRow) map[string]string {
	rows = slices.Clone(rows)
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].millis < rows[j].millis }) // rows come by position
	out := map[string]string{
		"cnt": strconv.Quote(fmt.Sprint(len(rows))), "n_first": sqlText(rows[0].values[2], true),
		"page_last": sqlText(rows[len(rows)-1].values[0], true),
	}
	var n, least, price, most any
	p1s := 0
	for _, r := range rows {
		if r.values[0] == "p1" {
			p1s++
		}
		if v, ok := r.values[2].(int64); ok {
			if n == nil {
				n, least = int64(0), v
			}
			n, least = n.(int64)+v, min(least.(int64), v)
		}
		if v, ok := r.values[3].(float64); ok {
			if price == nil {
				price, most = 0.0, v
			}
			price, most = price.(float64)+v, max(most.(float64), v)
		}
	}
	out["n"], out["n_min"], out["price_sum"], out["price_max"] = sqlText(n, true), sqlText(least, true), sqlText(price, true), sqlText(most, true)
	out["float_sum"], out["p1s"] = out["price_sum"], strconv.Quote(fmt.Sprint(p1s))
	return out
}

func (c *compacted) line(row shownRow) string {
	line := fmt.Sprint(row.millis)
	for _, n := range c.names() {
		if v, ok := row.values[n]; ok {
			line += " " + v
		} else {
			line += " null"
		}
	}
	return line
}

func sumsByPage(rows []shownRow) []string {
	sums := map[string]any{}
	for _, r := range rows {
		page := r.values["page"]
		if page == "" {
			page = "null"
		}
		n, err := strconv.Atoi(strings.Trim(r.values["n"], `"`))
		switch was, _ := sums[page].(int); {
		case err == nil:
			sums[page] = was + n
		case sums[page] == nil:
			sums[page] = nil
		}
	}
	var out []string
	for page, sum := range sums {
		if sum == nil {
			sum = "null"
		}
		out = append(out, fmt.Sprint(page, " ", sum))
	}
	return out
}
