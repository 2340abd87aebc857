package query

import (
	"context"
	"fmt"
	"strings"

	"drumlin/catalog"
	"drumlin/duckdb"
	"drumlin/query/cache"
	"drumlin/segment"
)

// rejectColumns are the columns of rejects segments that sys.rejects shows, beside the position.
var rejectColumns = []segment.Column{
	timeColumnDef,
	{ID: segment.RejectReasonColumnID, Name: segment.RejectReasonColumn, Type: segment.TypeString},
	{ID: segment.RejectMessageColumnID, Name: segment.RejectMessageColumn, Type: segment.TypeString},
	{ID: segment.RejectRawColumnID, Name: segment.RejectRawColumn, Type: segment.TypeString},
	{ID: segment.RejectRawBytesColumnID, Name: segment.RejectRawBytesColumn, Type: segment.TypeLong},
}

// rejectGroup holds rejects segments of one datasource and supervisor, which the files themselves do not name.
type rejectGroup struct {
	datasource, supervisor string
	segments               []segment.Meta
}

// coldRejects groups the live rejects segments.
func coldRejects(s *snapshot) []*rejectGroup {
	var out []*rejectGroup
	for _, name := range s.order {
		bySupervisor := map[string]*rejectGroup{}
		seen := map[string]bool{}
		for _, b := range s.datasources[name].view.Buckets {
			if b.Dropped() {
				continue
			}
			for _, m := range b.Rejects {
				if seen[m.Object] {
					continue
				}
				seen[m.Object] = true
				supervisor := supervisorOf(b, m)
				g := bySupervisor[supervisor]
				if g == nil {
					g = &rejectGroup{datasource: name, supervisor: supervisor}
					bySupervisor[supervisor] = g
					out = append(out, g)
				}
				g.segments = append(g.segments, m)
			}
		}
	}
	return out
}

// supervisorOf finds whose commit a rejects segment came with: a live commit, or one that the manifest has absorbed.
func supervisorOf(b *catalog.BucketView, m segment.Meta) string {
	for _, c := range b.Commits {
		for i := range c.Commit.Segments {
			if c.Commit.Segments[i].Object == m.Object {
				return c.Commit.Supervisor
			}
		}
	}
	if b.Manifest == nil || len(m.Sources) == 0 {
		return ""
	}
	s := m.Sources[0]
	for _, a := range b.Manifest.Absorbed {
		if a.Topic == s.Topic && a.Generation == s.Generation && a.Partition == s.Partition && a.From <= s.From && s.To <= a.To {
			return a.Supervisor
		}
	}
	return ""
}

func (b *builder) rejectsView(ctx context.Context, session *duckdb.Session, pins *cache.Pins) error {
	var branches []string
	paths := pathsOf(pins)
	for _, g := range coldRejects(b.snap) {
		branches = append(branches, rejectsBranch(g.datasource, g.supervisor, readParquet(paths(g.segments), withPosition(rejectColumns))))
	}
	for _, name := range b.snap.order {
		ds := b.snap.datasources[name]
		for _, p := range ds.partitions {
			if p.hot == nil || len(p.hot.Rejects) == 0 {
				continue
			}
			columns := withPosition(rejectColumns)
			token, err := session.AddScan(duckdb.Scan{
				Columns: scanColumns(columns), Parts: partsOf(columns, p.hot.Rejects, p.positionConstants()),
			})
			if err != nil {
				return err
			}
			source := fmt.Sprintf("drumlin_scan(%d)", token)
			if hidden := droppedIn(ds.view, p.hot.Rejects); len(hidden) > 0 {
				source += " WHERE " + strings.Join(spans(hidden, "NOT %s"), " AND ")
			}
			branches = append(branches, rejectsBranch(name, p.key.Supervisor, source))
		}
	}
	if len(branches) == 0 {
		var parts []string
		for _, c := range systemTables["sys.rejects"] {
			parts = append(parts, fmt.Sprintf("CAST(NULL AS %s) AS %s", sqlTypes[c.kind], quoteName(c.name)))
		}
		branches = []string{"SELECT " + strings.Join(parts, ", ") + " LIMIT 0"}
	}
	return session.Exec(ctx, fmt.Sprintf("CREATE TEMP VIEW %s AS %s", quoteName(b.internal["sys.rejects"]),
		strings.Join(branches, " UNION ALL ")))
}

func rejectsBranch(datasource, supervisor, source string) string {
	return fmt.Sprintf(`SELECT %s AS datasource, %s AS supervisor, %s AS topic, CAST(%s AS BIGINT) AS generation, CAST(%s AS BIGINT) AS "partition", %s AS "offset", %s AS "timestamp", reason, message, raw, raw_bytes FROM %s`,
		quoteText(datasource), quoteText(supervisor), segment.TopicColumn, segment.GenerationColumn, segment.PartitionColumn,
		segment.OffsetColumn, segment.TimeColumn, source)
}

// droppedIn are the dropped buckets that the batches may hold rows of.
func droppedIn(ds *catalog.DatasourceView, batches []segment.HotBatch) []segment.Bucket {
	var out []segment.Bucket
	for _, b := range ds.Buckets {
		if !b.Dropped() {
			continue
		}
		for _, batch := range batches {
			if batch.MinMillis < b.Bucket.EndMillis && batch.MaxMillis >= b.Bucket.StartMillis {
				out = append(out, b.Bucket)
				break
			}
		}
	}
	return out
}
