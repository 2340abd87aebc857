package metamorphic

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"drumlin/catalog"
	"drumlin/objectstore"
	"drumlin/rollup"
	"drumlin/segment"
)

func definitionOf(text []byte) (*rollup.Definition, error) {
	if len(text) == 0 {
		return nil, nil
	}
	return rollup.ParseDefinition(text)
}

// checkStore holds the catalog to law 1, and the object store to what the catalog names.
func (w *world) checkStore() error {
	w.kv.mu.Lock()
	problems := w.kv.problems
	w.kv.mu.Unlock()
	if len(problems) > 0 {
		return fmt.Errorf("the test's own notes: %s", strings.Join(problems, "; "))
	}
	view, err := w.cat.Refresh(w.ctx)
	if err != nil {
		return err
	}
	if err := catalog.Verify(view); err != nil {
		return err
	}
	facts, err := w.cat.Collect(w.ctx)
	if err != nil {
		return err
	}
	for object := range facts.Referenced {
		if _, err := w.objects.Head(w.ctx, object); err != nil {
			return fmt.Errorf("the catalog names what is not there: %w", err)
		}
	}
	for _, ds := range view.Datasources {
		for _, b := range ds.Buckets {
			if err := w.checkBucket(b); err != nil {
				return fmt.Errorf("%s: %w", ds.Name, err)
			}
		}
	}
	return nil
}

func (w *world) checkBucket(b *catalog.BucketView) error {
	var problems []error
	metas := append(append([]segment.Meta(nil), b.Settled...), b.Rejects...)
	for _, s := range b.Tail {
		metas = append(metas, s.Meta)
	}
	for i := range metas {
		problems = append(problems, w.checkObject(metas[i].Object, metas[i].Bytes, metas[i].SHA256))
	}
	if b.Manifest != nil {
		for _, s := range b.Manifest.Sidecars {
			problems = append(problems, w.checkObject(s.Object, s.Bytes, s.SHA256))
		}
	}
	return errors.Join(problems...)
}

func (w *world) checkObject(object string, size int64, sum string) error {
	if w.verified[object] {
		return nil // that it is still there has been seen
	}
	data, err := read(w.ctx, w.objects, object)
	if err != nil {
		return err
	}
	if have := sha256.Sum256(data); int64(len(data)) != size || hex.EncodeToString(have[:]) != sum {
		return fmt.Errorf("%s is not what the catalog says", object)
	}
	w.verified[object] = true
	return nil
}

// checkDead: of what was live once, nothing is left that is not live now.
func (w *world) checkDead() error {
	facts, err := w.cat.Collect(w.ctx)
	if err != nil {
		return err
	}
	once := map[string]bool{}
	w.kv.mu.Lock()
	for _, c := range w.kv.commits {
		for i := range c.Segments {
			once[c.Segments[i].Object] = true
		}
	}
	for _, heads := range w.kv.heads {
		for _, h := range heads {
			once[h.Manifest] = true
			for _, metas := range [][]segment.Meta{h.manifest.Settled, h.manifest.Rejects} {
				for i := range metas {
					once[metas[i].Object] = true
				}
			}
			for _, s := range h.manifest.Adopted {
				once[s.Object] = true
			}
			for _, s := range h.manifest.Sidecars {
				once[s.Object] = true
			}
		}
	}
	w.kv.mu.Unlock()
	var problems []error
	err = w.objects.List(w.ctx, "", func(i objectstore.Info) bool {
		if _, live := facts.Referenced[i.Key]; once[i.Key] && !live {
			problems = append(problems, fmt.Errorf("%s was replaced, and stays", i.Key))
		}
		return true
	})
	return errors.Join(append(problems, err)...)
}

// checkOrphans: after every process has begun anew, two collections leave no data that the catalog does not name.
func (w *world) checkOrphans() error {
	facts, err := w.cat.Collect(w.ctx)
	if err != nil {
		return err
	}
	var problems []error
	err = w.objects.List(w.ctx, "", func(i objectstore.Info) bool {
		if _, live := facts.Referenced[i.Key]; !live && strings.HasSuffix(i.Key, ".parquet") {
			problems = append(problems, fmt.Errorf("%s belongs to nobody, and stays", i.Key))
		}
		return true
	})
	return errors.Join(append(problems, err)...)
}
