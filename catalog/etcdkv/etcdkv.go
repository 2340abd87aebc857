package etcdkv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drumlin/catalog"
)

// Options say where etcd is.
type Options struct {
	Endpoints   []string
	Prefix      string        // of every key, without a slash at the end; names the cluster
	DialTimeout time.Duration // of one attempt to connect; default 5 s
	TLS         *tls.Config   // nil: plain, or the system's authorities where the endpoints begin with https
	Username    string
	Password    string
	// RequestTimeout bounds one request, whatever its context allows. Default 4 s. Reads ask another member sooner.
	RequestTimeout time.Duration
	// PageKeys limits the keys of one range request. Default 500, since a value may have 16 KiB.
	PageKeys int64
}

// Store is the catalog's part of an etcd.
type Store struct {
	client    *clientv3.Client
	endpoints string // for messages
	user      string
	prefix    string
	pageKeys  int64
	timeout   time.Duration
	cluster   atomic.Uint64 // id of the cluster that answered first; 0: none yet
}

var _ catalog.Backend = (*Store)(nil)

// Open makes the client and returns: the first request finds out whether etcd answers, and whether it accepts the user.
func Open(o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	client, err := connect(o)
	if err != nil {
		return nil, err
	}
	return &Store{
		client: client, endpoints: strings.Join(o.Endpoints, ", "), user: o.Username, prefix: strings.Trim(o.Prefix, "/") + "/",
		pageKeys: o.PageKeys, timeout: o.RequestTimeout,
	}, nil
}

// Close ends the connection. Watches must have ended before.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close the etcd client: %w", err)
	}
	return nil
}

// checkCluster refuses the answer of another cluster than the first that answered: its revisions, and so all epochs,
// mean nothing here.
func (s *Store) checkCluster(id uint64) error {
	if s.cluster.CompareAndSwap(0, id) || s.cluster.Load() == id {
		return nil
	}
	return fmt.Errorf("%w: etcd cluster %x became %x; restart this process", catalog.ErrIncarnation, s.cluster.Load(), id)
}

// Range implements catalog.KV. Long ranges are read in pages, all at the revision of the first.
func (s *Store) Range(ctx context.Context, prefix string, o catalog.RangeOptions) (*catalog.RangeResult, error) {
	key := s.prefix + prefix
	end := clientv3.GetPrefixRangeEnd(key)
	out := &catalog.RangeResult{Revision: o.Revision}
	for {
		opts := []clientv3.OpOption{
			clientv3.WithRev(out.Revision), clientv3.WithLimit(s.pageKeys),
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend),
		}
		if !o.Exact {
			opts = append(opts, clientv3.WithRange(end))
		}
		if o.KeysOnly {
			opts = append(opts, clientv3.WithKeysOnly())
		}
		res, err := s.get(ctx, key, opts...)
		if err != nil {
			return nil, err
		}
		if err := s.checkCluster(res.Header.ClusterId); err != nil {
			return nil, err
		}
		if out.Revision == 0 {
			out.Revision = res.Header.Revision
		}
		for _, kv := range res.Kvs {
			out.KVs = append(out.KVs, s.keyValue(kv))
		}
		if !res.More || len(res.Kvs) == 0 {
			return out, nil
		}
		key = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
	}
}

const readAttempts = 3

// readTimeout leaves time for a second attempt to callers who wait a little longer than one transaction takes.
func (s *Store) readTimeout() time.Duration { return s.timeout * 5 / 8 }

// get reads one page. Where a member does not answer in time another is asked.
func (s *Store) get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	for attempt := 1; ; attempt++ {
		callCtx, cancel, trace := traced(ctx, s.readTimeout())
		res, err := s.client.Get(callCtx, key, opts...)
		cancel()
		if err == nil || attempt == readAttempts || !again(ctx, err) {
			return res, s.readError("read keys", err, trace)
		}
	}
}

func (s *Store) keyValue(kv *mvccpb.KeyValue) catalog.KeyValue {
	return catalog.KeyValue{
		Key: strings.TrimPrefix(string(kv.Key), s.prefix), Value: kv.Value, CreateRevision: kv.CreateRevision,
		ModRevision: kv.ModRevision, Version: kv.Version, Lease: kv.Lease,
	}
}

// Txn implements catalog.KV.
func (s *Store) Txn(ctx context.Context, t catalog.Txn) (*catalog.TxnResult, error) {
	if err := t.CheckLimits(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, ctx.Err())
	}
	compares := make([]clientv3.Cmp, len(t.If))
	for i, c := range t.If {
		target := clientv3.ModRevision(s.prefix + c.Key)
		if c.Target == catalog.CompareCreate {
			target = clientv3.CreateRevision(s.prefix + c.Key)
		}
		compares[i] = clientv3.Compare(target, "=", c.Revision)
	}
	callCtx, cancel, trace := traced(ctx, s.timeout)
	defer cancel()
	res, err := s.client.Txn(callCtx).If(compares...).Then(s.ops(t.Then)...).Else(s.ops(t.Else)...).Commit()
	if err != nil {
		return nil, s.txnError(err, trace)
	}
	if err := s.checkCluster(res.Header.ClusterId); err != nil {
		return nil, err
	}
	out := &catalog.TxnResult{
		Succeeded: res.Succeeded, Revision: res.Header.Revision, Gets: map[string]catalog.KeyValue{},
	}
	for _, r := range res.Responses {
		if get := r.GetResponseRange(); get != nil {
			for _, kv := range get.Kvs {
				v := s.keyValue(kv)
				out.Gets[v.Key] = v
			}
		}
	}
	return out, nil
}

func (s *Store) ops(ops []catalog.Op) []clientv3.Op {
	out := make([]clientv3.Op, len(ops))
	for i, op := range ops {
		key := s.prefix + op.Key
		switch op.Kind {
		case catalog.OpPut:
			var opts []clientv3.OpOption
			if op.Lease != 0 {
				opts = append(opts, clientv3.WithLease(clientv3.LeaseID(op.Lease)))
			}
			out[i] = clientv3.OpPut(key, string(op.Value), opts...)
		case catalog.OpDelete:
			out[i] = clientv3.OpDelete(key)
		default:
			out[i] = clientv3.OpGet(key)
		}
	}
	return out
}

// Grant implements catalog.Leases. etcd counts whole seconds, and has a shortest lease of its own.
func (s *Store) Grant(ctx context.Context, ttl time.Duration) (int64, error) {
	ctx, cancel, trace := traced(ctx, s.timeout)
	defer cancel()
	res, err := s.client.Grant(ctx, int64(math.Ceil(ttl.Seconds())))
	if err != nil {
		// A lease that was granted without our knowing ends by itself.
		return 0, s.readError("get a lease", err, trace)
	}
	return int64(res.ID), nil
}

// KeepAlive implements catalog.Leases.
func (s *Store) KeepAlive(ctx context.Context, lease int64) error {
	ctx, cancel, trace := traced(ctx, s.timeout)
	defer cancel()
	if _, err := s.client.KeepAliveOnce(ctx, clientv3.LeaseID(lease)); err != nil {
		return s.readError("renew the lease", err, trace)
	}
	return nil
}

// Revoke implements catalog.Leases.
func (s *Store) Revoke(ctx context.Context, lease int64) error {
	ctx, cancel, trace := traced(ctx, s.timeout)
	defer cancel()
	_, err := s.client.Revoke(ctx, clientv3.LeaseID(lease))
	if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return s.txnError(err, trace)
}
