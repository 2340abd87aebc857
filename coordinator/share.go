package coordinator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"drumlin/catalog"
)

// RoleIngest is the role of nodes that read partitions.
const RoleIngest = "ingest"

// comparePartitions orders partitions by supervisor, topic and number.
func comparePartitions(a, b catalog.PartitionKey) int {
	return cmp.Or(cmp.Compare(a.Supervisor, b.Supervisor), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// shareAble says which node should read each wanted partition. Nodes that cannot read a supervisor get nothing of it, unless
// none can: then each partition stays where it is, and what nobody owns is shared out. Supervisors that the same nodes can
// read are shared out together, as share does it; that those which fewer can read weigh on these is not made up for, since it
// would move still more.
func shareAble(nodes []string, unable map[string][]string, wanted []catalog.PartitionKey, owners map[catalog.PartitionKey]string) map[catalog.PartitionKey]string {
	type group struct {
		nodes  []string
		wanted []catalog.PartitionKey
	}
	nodes = slices.Sorted(slices.Values(nodes))
	groups := map[string]*group{}
	out := make(map[catalog.PartitionKey]string, len(wanted))
	for _, k := range wanted {
		able := slices.DeleteFunc(slices.Clone(nodes), func(node string) bool { return slices.Contains(unable[k.Supervisor], node) })
		if owner := owners[k]; len(able) == 0 && slices.Contains(nodes, owner) {
			out[k] = owner
			continue
		}
		if len(able) == 0 {
			able = nodes
		}
		name := fmt.Sprintf("%q", able)
		if groups[name] == nil {
			groups[name] = &group{nodes: able}
		}
		groups[name].wanted = append(groups[name].wanted, k)
	}
	for _, g := range groups {
		maps.Copy(out, share(g.nodes, g.wanted, owners))
	}
	return out
}

// share says which node should read each wanted partition: every node within one partition of the others, moving as few
// as possible from those who own them now, and of each topic no node many more than its part where there is a choice. Every
// node that calls it with the same arguments gets the same answer, and partitions that arrive where they should be change
// nothing for the others. Nodes that stop are not among nodes: what they own is shared out at once.
func share(nodes []string, wanted []catalog.PartitionKey, owners map[catalog.PartitionKey]string) map[catalog.PartitionKey]string {
	out := make(map[catalog.PartitionKey]string, len(wanted))
	if len(nodes) == 0 {
		return out
	}
	wanted = interleave(wanted)
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

// interleave orders partitions so that any stretch of the order holds its part of every topic: by the share of their topic
// that lies before them. The topics of one supervisor may bring very different loads.
func interleave(wanted []catalog.PartitionKey) []catalog.PartitionKey {
	wanted = slices.SortedFunc(slices.Values(wanted), comparePartitions)
	type place struct {
		key      catalog.PartitionKey
		rank, of int // within its topic
	}
	places := make([]place, len(wanted))
	for from := 0; from < len(wanted); {
		to := from
		for to < len(wanted) && wanted[to].Supervisor == wanted[from].Supervisor && wanted[to].Topic == wanted[from].Topic {
			to++
		}
		for i := from; i < to; i++ {
			places[i] = place{wanted[i], 2*(i-from) + 1, 2 * (to - from)} // the middle of its part
		}
		from = to
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.rank*b.of, b.rank*a.of) })
	for i, p := range places {
		wanted[i] = p.key
	}
	return wanted
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
