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
	"go.uber.org/zap"

	"drumlin/catalog"
)

// Options say where etcd is.
type Options struct {
	Endpoints   []string
	Prefix      string // of every key, without a slash at the end; names the cluster
	DialTimeout time.Duration
	TLS         *tls.Config // nil: plain
	Username    string
	Password    string
	// PageKeys limits the keys of one range request. Default 500, since a value may have 16 KiB.
	PageKeys int64
}

// Store is the catalog's part of an etcd.
type Store struct {
	client   *clientv3.Client
	prefix   string
	pageKeys int64
	cluster  atomic.Uint64 // id of the cluster that answered first; 0: none yet
}

var _ catalog.Backend = (*Store)(nil)

// Open connects to etcd. It returns as soon as the client exists: the first request finds out whether etcd answers.
func Open(o Options) (*Store, error) {
	prefix := strings.Trim(o.Prefix, "/")
	if prefix == "" || len(o.Endpoints) == 0 {
		return nil, errors.New("open etcd: endpoints and a prefix for the keys are needed")
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 5 * time.Second
	}
	if o.PageKeys == 0 {
		o.PageKeys = 500
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, DialTimeout: o.DialTimeout, TLS: o.TLS, Username: o.Username, Password: o.Password,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("open etcd at %s: %w", strings.Join(o.Endpoints, ","), err)
	}
	return &Store{client: client, prefix: prefix + "/", pageKeys: o.PageKeys}, nil
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
		res, err := s.client.Get(ctx, key, opts...)
		if err != nil {
			return nil, readError("read keys", err)
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
	res, err := s.client.Txn(ctx).If(compares...).Then(s.ops(t.Then)...).Else(s.ops(t.Else)...).Commit()
	if err != nil {
		return nil, txnError(err)
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
	res, err := s.client.Grant(ctx, int64(math.Ceil(ttl.Seconds())))
	if err != nil {
		// A lease that was granted without our knowing ends by itself.
		return 0, readError("get a lease", err)
	}
	return int64(res.ID), nil
}

// KeepAlive implements catalog.Leases.
func (s *Store) KeepAlive(ctx context.Context, lease int64) error {
	if _, err := s.client.KeepAliveOnce(ctx, clientv3.LeaseID(lease)); err != nil {
		return readError("renew the lease", err)
	}
	return nil
}

// Revoke implements catalog.Leases.
func (s *Store) Revoke(ctx context.Context, lease int64) error {
	_, err := s.client.Revoke(ctx, clientv3.LeaseID(lease))
	if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return txnError(err)
}

// txnError says what an error tells about a transaction. Only what etcd refuses before it reaches the log has
// certainly not taken effect.
func txnError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%w: %w", catalog.ErrKVTooLarge, err)
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("%w: %w", catalog.ErrKVLeaseNotFound, err)
	case errors.Is(err, rpctypes.ErrNoSpace), errors.Is(err, rpctypes.ErrTooManyRequests):
		return fmt.Errorf("%w: %w", catalog.ErrKVUnavailable, err)
	case errors.Is(err, rpctypes.ErrDuplicateKey), errors.Is(err, rpctypes.ErrEmptyKey),
		errors.Is(err, rpctypes.ErrPermissionDenied), errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("etcd refused the transaction: %w", err)
	}
	return fmt.Errorf("%w: %w", catalog.ErrKVUnknown, err)
}

// readError is for requests that change nothing that matters.
func readError(what string, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVCompacted, err)
	case errors.Is(err, rpctypes.ErrFutureRev):
		return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVFutureRevision, err)
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVLeaseNotFound, err)
	}
	return fmt.Errorf("%s: %w: %w", what, catalog.ErrKVUnavailable, err)
}
