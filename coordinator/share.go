package coordinator

import (
	"cmp"
	"slices"

	"drumlin/catalog"
)

// RoleIngest is the role of nodes that read partitions.
const RoleIngest = "ingest"

// comparePartitions orders partitions by supervisor, topic and number.
func comparePartitions(a, b catalog.PartitionKey) int {
	return cmp.Or(cmp.Compare(a.Supervisor, b.Supervisor), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// share says which node should read each wanted partition: every node within one partition of the others, moving as few
// as possible from those who own them now. Every node that calls it with the same arguments gets the same answer.
func share(nodes []string, wanted []catalog.PartitionKey, owners map[catalog.PartitionKey]string) map[catalog.PartitionKey]string {
	out := make(map[catalog.PartitionKey]string, len(wanted))
	if len(nodes) == 0 {
		return out
	}
	wanted = slices.Clone(wanted)
	slices.SortFunc(wanted, comparePartitions)
	room := shares(nodes, wanted, owners)
	var left []catalog.PartitionKey
	for _, k := range wanted {
		if node := owners[k]; room[node] > 0 {
			room[node]--
			out[k] = node
		} else {
			left = append(left, k)
		}
	}
	nodes = slices.Sorted(slices.Values(nodes))
	for _, k := range left {
		for room[nodes[0]] == 0 {
			nodes = nodes[1:]
		}
		room[nodes[0]]--
		out[k] = nodes[0]
	}
	return out
}

// shares says how many partitions each node gets. Those who own most now get one more where it does not divide evenly.
func shares(nodes []string, wanted []catalog.PartitionKey, owners map[catalog.PartitionKey]string) map[string]int {
	owned := map[string]int{}
	for _, k := range wanted {
		owned[owners[k]]++
	}
	order := slices.Clone(nodes)
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(owned[b]-owned[a], cmp.Compare(a, b)) })
	room := make(map[string]int, len(nodes))
	each, more := len(wanted)/len(nodes), len(wanted)%len(nodes)
	for i, node := range order {
		room[node] = each
		if i < more {
			room[node]++
		}
	}
	return room
}
