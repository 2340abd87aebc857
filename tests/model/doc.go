// Package model is an executable model of the protocol: how commits, merges, folds, hot rows, collection and rebuilds
// work together, without a network, threads or files. It owns no part of the product and imports none of it: it is the
// argument that the rules are enough, and that each of them is needed.
//
// A run is drawn from one seed: a configuration (swarm) and then single steps of all processes, each atomic, in random
// order. An oracle with its own judgement of records and its own ledger of recorded facts answers from the Kafka log at
// the same cut. Checked are every answer (cold, hot, mixed, pinned), every commit (conservation, tiling, its rows), every
// head (all that is live exists, no identity settled twice, nothing dropped above the floor, the cold answer), every
// rebuild (nothing committed is lost, facts stay), and that hot rows once answered by their owner keep their facts.
//
// Every rule is a Guard, and a run can switch one off. With all on no seed fails; with each off some seed does.
//
// Modelled: copies within and across partitions, with equal and differing contents; records without key, bad and control
// records; owners that begin, read, hand off, acknowledge, reset, crash, pause, lose their lease and do not notice; lost
// replies, applied or not; topics made anew; spec versions; retention and dedup floors; a horizon, rejecting or accepting;
// raw merges of some or all segments, adoption, deletion vectors, rebase, coarse swaps, folds and refolds with sidecars,
// plans that narrow, sidecars that expire, dropped heads; queriers with old views, hot rows and their refusals; pins;
// collection by epochs, markers and grace; commit keys reaped; the loss of etcd and a rebuild under a new incarnation.
//
// Not modelled: time beyond steps (leases end when they end), transactions that arrive after their reply was given up,
// watches that skip events, checksums and damaged objects, failed or partial uploads, schema changes, column types and
// sketches (sums are integers), ingest-time rollup without dedup, gaps of lost offsets, unclean elections, new partitions
// of a running topic, rejects as rows, several datasources or supervisors, plans of raw datasources, processes that
// outlive the loss of etcd, the format key, limits on transactions.
//
// It supports the text of the protocol and proves no implementation.
package model
