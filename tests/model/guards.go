package model

// Guard is one rule of the protocol. A run can switch one off, to show that its absence is noticed.
type Guard string

// The guards. Each comment says what happens without it.
const (
	OwnerFence             Guard = "owner fence"                           // a commit does not compare the owner's epoch
	ClaimFence             Guard = "claim fence"                           // a swap does not compare the claim's epoch
	AbsorbedIsReadRevision Guard = "absorbed is the read revision"         // a head absorbs the revision of its own swap
	CollectionByEpoch      Guard = "collection by epoch"                   // objects go that somebody may still name
	CollectAtOneRevision   Guard = "references and epochs at one revision" // references are read earlier than epochs
	ReapWhenAllAbsorbed    Guard = "commit key kept until all absorb"      // the first absorbing bucket deletes it
	PinsRespected          Guard = "pins"                                  // collection ignores them
	EveryPinCounts         Guard = "every pin counts"                      // of several pins only the oldest is compared
	MissingReplans         Guard = "missing object replans"                // a reader takes a missing object for an empty one

	HotRefusesStale    Guard = "stale hot rows refused"        // an owner answers from where its memory begins
	HotCutAtSeam       Guard = "hot rows cut at the seam"      // committed rows in memory are used too
	HotSameFacts       Guard = "hot rows of the same facts"    // rows judged by other facts are used
	HotSameGeneration  Guard = "hot rows of one generation"    // rows of another generation are used
	AdoptAtEnd         Guard = "facts change at the end"       // new facts are adopted below hot rows
	AdoptPastWatermark Guard = "facts change past watermark"   // a new owner adopts them at once
	BeginComparesFloor Guard = "begin compares the floor"      // a partition begins under a floor that has moved
	RecordedFacts      Guard = "recorded facts"                // an owner judges by the newest spec
	RecordedClock      Guard = "recorded clock"                // the clock begins anew with the owner
	RunningClock       Guard = "clock is a maximum"            // the clock is the last timestamp
	TopicChecked       Guard = "topic id checked"              // another topic is read on at the old offset
	FilterBeforeDedup  Guard = "ingest filter before dedup"    // a filtered copy defeats one that is not
	HandoffWithoutPlan Guard = "handoff without plan's filter" // a handoff removes what the plan's filter removes
	AcceptAsKeyless    Guard = "accepted as keyless"           // a record beyond the horizon keeps its key

	MergeKeepsUnmerged    Guard = "merge keeps unmerged commits"   // the manifest lists only what was merged
	MergeReadsVectors     Guard = "merge reads deletion vectors"   // losers rise in the merged segment
	LowestWins            Guard = "lowest position wins"           // the highest does
	RebaseChecksInputs    Guard = "rebase checks inputs"           // a lost swap is simply sent again
	RebaseChecksVectors   Guard = "rebase checks deletion vectors" // it looks at the segments alone
	RebaseChecksSettled   Guard = "rebase checks settled segments" // settled rows that came meanwhile were not compared
	AdoptedIsTail         Guard = "adopted is tail"                // adopted segments count as settled
	TailChecksBothWays    Guard = "tail checked both ways"         // a tail row never defeats a settled one
	SwapComparesEveryHead Guard = "swap compares every head"       // a coarse swap compares the first
	GroupMovesTogether    Guard = "group moves together"           // one bucket of a group moves alone
	GenerationInPosition  Guard = "generation in the position"     // positions of two generations are equal
	BucketInIdentity      Guard = "bucket in the identity"         // equal keys of two hours are one in a day

	DedupBeforeAggregate        Guard = "dedup before aggregation"         // a fold counts copies
	FoldWithSidecar             Guard = "sidecar checked by queries"       // copies of folded rows count again
	RefoldChecksSidecar         Guard = "refold checks the sidecar"        // they are folded again
	FilteredIdsKept             Guard = "ids of filtered rows kept"        // a copy of a filtered row rises
	CountBySum                  Guard = "count combined by sum"            // a refold counts folded rows
	TailFollowsPlan             Guard = "tail follows the plan"            // tail rows of a folded bucket keep the first plan
	PlanNarrows                 Guard = "plans only narrow"                // any other plan is taken
	SidecarNeedsAcknowledgement Guard = "sidecar kept until acknowledged"  // it goes with the floor
	AcknowledgedBeforeRead      Guard = "acknowledged before the fold"     // acknowledgements after the fold's read count
	IdleAcknowledge             Guard = "idle partitions acknowledge"      // only owned partitions are asked
	DroppedHides                Guard = "dropped head hides later rows"    // later commits and hot rows show
	DropWholeGroup              Guard = "group drops as a whole"           // it drops with its first bucket
	RetentionByHead             Guard = "retention through heads"          // a query hides what lies below the floor
	CommitInRejectsBucket       Guard = "commit in the rejects bucket"     // a commit without rows belongs nowhere
	MarkerBeforeCollection      Guard = "marker before collection"         // what an unmarked swap replaced may go
	RebuildMarkedOnly           Guard = "rebuild from marked manifests"    // a swap that lost its race may win
	RebuildNotFromR             Guard = "rebuild not from R"               // rebuilt heads absorb an old revision
	RecordEveryPut              Guard = "record beside every put"          // only commits are recorded
	NewestRecordKept            Guard = "newest record kept"               // collection takes it
	HighestRecordWins           Guard = "highest record wins"              // of the records of one start the lowest is taken
	RangesNameCommits           Guard = "absorbed ranges name commits"     // a rebuild takes an orphan for a commit
	GenerationEnds              Guard = "ends of generations are recorded" // a rebuild adopts past the end of a closed one
)
