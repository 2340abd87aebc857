package memkv_test

import (
	"testing"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/catalog/memkv"
	"drumlin/segment"
)

func TestSmoke(t *testing.T) {
	kv := memkv.New(nil)
	c, err := catalog.Open(t.Context(), catalog.Options{KV: kv, Objects: catalogtest.NewObjects()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	catalogtest.Supervise(t, c, "s", "ds")
	s := catalogtest.Register(t, c, "n1")
	w := catalogtest.Write(t, c, s, catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: 0})
	w.MustAppend(t, catalogtest.Hour(5), 10)
	rev, err := w.Append(t.Context(), w.Request(catalogtest.Hour(9), 2, map[segment.Bucket]int64{catalogtest.Hour(5): 3, catalogtest.Hour(6): 4}))
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.WaitRevision(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range v.Datasources["ds"].Buckets {
		t.Logf("%+v tail %d rejects %d commits %d", b.Bucket, len(b.Tail), len(b.Rejects), len(b.Commits))
	}
	t.Logf("%+v", v.Supervisors["s"])
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}
