package compaction

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"drumlin/catalog"
	"drumlin/objectstore"
)

// A marker's name with sweptSuffix names an empty object: nothing stands any more that the marker names as replaced, so that
// it need not be read again.
const sweptSuffix = ".swept"

const maxMarkerBytes = 256 << 20

// marker is one that has been read, because some of what it names as replaced may still stand.
type marker struct {
	info     objectstore.Info
	manifest string
	standing *atomic.Int64 // objects that the sweep has met and not deleted
}

// retirement is since when an object is out of the view, and which markers say so.
type retirement struct {
	catalog.Retired
	markers []int32 // indexes into collection.markers
}

// readMarkers reads the markers that have not been swept.
func (r *collection) readMarkers(ctx context.Context) error {
	var unswept []objectstore.Info
	err := r.eachMarker(ctx, func(info objectstore.Info, swept *objectstore.Info) {
		if swept == nil {
			unswept = append(unswept, info)
		}
	})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.c.o.Parallel)
	for _, info := range unswept {
		g.Go(func() error {
			m, err := r.readMarker(ctx, info.Key)
			if err != nil || m == nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			r.note(info, m)
			return nil
		})
	}
	return g.Wait()
}

// eachMarker calls fn for every marker, with the object that says that it has been swept where there is one: the two stand
// beside each other in key order.
func (r *collection) eachMarker(ctx context.Context, fn func(info objectstore.Info, swept *objectstore.Info)) error {
	var last objectstore.Info
	err := r.c.o.Objects.List(ctx, r.markerPrefix(), func(info objectstore.Info) bool {
		switch {
		case last.Key != "" && info.Key == last.Key+sweptSuffix:
			fn(last, &info)
			last = objectstore.Info{}
		case strings.HasSuffix(info.Key, sweptSuffix): // its marker has gone: settleMarkers deletes this one first
		default:
			if last.Key != "" {
				fn(last, nil)
			}
			last = info
		}
		return true
	})
	if err == nil && last.Key != "" {
		fn(last, nil)
	}
	return err
}

func (r *collection) markerPrefix() string {
	if r.only == nil {
		return "markers/" + r.facts.Incarnation + "/"
	}
	return catalog.MarkerName(catalog.ManifestPrefix(r.facts.Incarnation, r.only.Datasource))
}

// readMarker returns nil for a marker that is gone, or cannot be right: it only lengthens the life of what it names.
func (r *collection) readMarker(ctx context.Context, name string) (m *catalog.Marker, err error) {
	body, err := r.c.o.Objects.Get(ctx, name, 0, -1)
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	data, err := io.ReadAll(io.LimitReader(body, maxMarkerBytes))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	m, err = catalog.DecodeMarker(name, data)
	if err != nil {
		r.c.o.Logger.Warn("a marker cannot be right; what it names as replaced gets no grace period", "object", name, "error", err)
		return nil, nil
	}
	return m, nil
}

// note remembers what the marker names as replaced, as far as there is room. Called with the lock of readMarkers held.
func (r *collection) note(info objectstore.Info, m *catalog.Marker) {
	if len(r.retired)+len(m.Replaced) > r.c.o.MaxRetired && len(r.retired) > 0 {
		r.partial = true
		return
	}
	at := int32(len(r.markers))
	r.markers = append(r.markers, marker{info: info, manifest: m.Manifest, standing: new(atomic.Int64)})
	for _, object := range m.Replaced {
		entry, known := r.retired[object]
		// What two markers name was out of the view from the earlier one on: nothing comes back.
		if !known || m.Revision < entry.Revision {
			entry.Retired = catalog.Retired{Revision: m.Revision, WrittenMillis: m.WrittenMillis}
		}
		entry.markers = append(entry.markers, at)
		r.retired[object] = entry
	}
}

// stands notes that an object has not been deleted, for the markers that name it.
func (r *collection) stands(object string) {
	for _, at := range r.retired[object].markers {
		r.markers[at].standing.Add(1)
	}
}

// settleMarkers notes which markers have nothing left to name, and deletes those that a rebuild does not need either: of
// manifests that are not live and never will be.
func (r *collection) settleMarkers(ctx context.Context, d *deleter) error {
	empty := map[string]bool{}
	for i := range r.markers {
		if m := &r.markers[i]; m.standing.Load() == 0 {
			empty[m.info.Key] = true
		}
	}
	var failed error
	var gone []objectstore.Info
	err := r.eachMarker(ctx, func(info objectstore.Info, swept *objectstore.Info) {
		r.report.Listed++
		forget := r.facts.MayForget(catalog.ManifestOfMarker(info.Key))
		switch {
		case forget && swept != nil:
			gone = append(gone, *swept, info) // in this order: what is left over after a crash is a marker
		case forget && empty[info.Key]:
			gone = append(gone, info)
		case swept == nil && empty[info.Key] && failed == nil:
			failed = r.markSwept(ctx, info.Key)
			r.report.Kept[keptForRebuild]++
		default:
			r.report.Kept[keptForRebuild]++
		}
	})
	if err == nil {
		err = failed
	}
	for _, info := range gone {
		if err == nil {
			err = d.now(ctx, info)
		}
	}
	return err
}

func (r *collection) markSwept(ctx context.Context, name string) error {
	sum := sha256.Sum256(nil)
	if err := r.c.o.Objects.Put(ctx, name+sweptSuffix, bytes.NewReader(nil), 0, hex.EncodeToString(sum[:])); err != nil {
		return fmt.Errorf("note that %s has been swept: %w", name, err)
	}
	return nil
}
