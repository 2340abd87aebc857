// Package s3 keeps objects in a bucket of S3, or of a service that speaks its protocol: MinIO, R2, Ceph, versitygw.
//
// Invariants:
//   - a Put reads its body once before it sends anything: a body that fails, or has another checksum than was said, leaves
//     no trace. Every request that carries content is signed over the SHA-256 of that content, so that a service takes no
//     truncated or altered one; the checksum is stored beside the object as metadata;
//   - a Put never replaces what stands under its key: If-None-Match, where the service knows it; else a look before. The
//     look is no guard against two writers at one moment. Nothing rests on either: keys are unique;
//   - a reply that was lost is resolved by reading back: a key that is taken by the same content is a success;
//   - an outcome that stays unknown is objectstore.ErrUnknown, and nothing is cleaned up after it.
//
// Requests are repeated here, not by the SDK: only so does an attempt have a time limit of its own that grows with what it
// carries, does the store know whether a failed one may have taken effect, and do all retries share one budget. Delays have
// full jitter; a budget that is used up slows retries down before it ends them.
//
// Large objects go up in parts, by this package rather than by the SDK's transfer manager. That one copies every part
// into a buffer of its own, where the body here can be read at any place; it checks no whole-object checksum before it
// completes; it aborts after a completion whose outcome is unknown; and it cannot start again where the service asks for
// that (409 at the completion).
//
// A key below the prefix with a part that begins with a dot is never an object: .probe holds what Probe tries out.
package s3
