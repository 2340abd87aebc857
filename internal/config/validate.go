package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"drumlin/internal/kafkaprops"
	"drumlin/internal/nearest"
	"drumlin/internal/secure"
	"drumlin/internal/strictyaml"
)

// Validate reports everything that would keep the process from running, all at once. The error is Problems.
func (s Server) Validate() error {
	c := &checker{}
	s.checkProcess(c)
	s.checkListeners(c)
	s.checkAccess(c)
	s.checkStores(c)
	s.checkObjects(c)
	s.checkLimits(c)
	return c.problems.asError()
}

// Has says whether the process has a role.
func (s Server) Has(role string) bool { return slices.Contains(s.Roles, role) }

type checker struct{ problems Problems }

func (c *checker) problem(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.problem(path, "%q is not one of: %s%s", strictyaml.Shown(value), strings.Join(allowed, ", "), nearest.Question(nearest.Name(value, allowed)))
	}
}

// address checks HOST:PORT. A port of 0 takes any that is free, where one may listen on it.
func (c *checker) address(path, value string, lowestPort int) {
	host, port, err := net.SplitHostPort(value)
	n, portErr := strconv.Atoi(port)
	if err != nil || host == "" || strings.ContainsAny(host, "/ @") || portErr != nil || n < lowestPort || n > 65535 {
		c.problem(path, "%q is not HOST:PORT, such as 127.0.0.1:8888", strictyaml.Shown(value))
	}
}

func (c *checker) atLeast(path string, value, least time.Duration) {
	if value < least {
		c.problem(path, "%s is less than %s", durationText(value), durationText(least))
	}
}

func (c *checker) bytesAtLeast(path string, value, least Bytes) {
	if value < least {
		c.problem(path, "%s is less than %s", value, least)
	}
}

func (c *checker) countAtLeast(path string, value, least int) {
	if value < least {
		c.problem(path, "%d is less than %d", value, least)
	}
}

// wanted reports an empty text.
func (c *checker) wanted(path, value, what string) {
	if strings.TrimSpace(value) == "" {
		c.problem(path, "%s", what)
	}
}

func (s Server) checkProcess(c *checker) {
	if len(s.Roles) == 0 {
		c.problem("roles", "name what the process does: any of %s", strings.Join(AllRoles(), ", "))
	}
	for i, role := range s.Roles {
		c.oneOf(fmt.Sprintf("roles[%d]", i), role, AllRoles()...)
		if slices.Index(s.Roles, role) < i {
			c.problem(fmt.Sprintf("roles[%d]", i), "%s is named twice", strictyaml.Shown(role))
		}
	}
	if s.Node.ID != "" && !validNodeID(s.Node.ID) {
		c.problem("node.id", "%q has characters other than letters, digits, '.', '_' and '-', or more than %d", strictyaml.Shown(s.Node.ID), maxNodeIDBytes)
	}
	c.oneOf("log.level", s.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", s.Log.Format, "text", "json")
	c.atLeast("leaseTTL", s.LeaseTTL, time.Second)
	c.atLeast("stopTimeout", s.StopTimeout, time.Second)
}

func (s Server) checkListeners(c *checker) {
	c.address("http.address", s.HTTP.Address, 0)
	c.address("flight.address", s.Flight.Address, 0)
	if s.HTTP.Address == s.Flight.Address && !strings.HasSuffix(s.HTTP.Address, ":0") {
		c.problem("flight.address", "it is http.address: two listeners need two ports")
	}
	for _, a := range []struct{ path, value string }{{"http.advertise", s.HTTP.Advertise}, {"flight.advertise", s.Flight.Advertise}} {
		if a.value != "" {
			c.address(a.path, a.value, 1)
		}
	}
	c.serverTLS("http.tls", s.HTTP.TLS)
	c.serverTLS("flight.tls", s.Flight.TLS)
	c.clientTLS("flight.clientTLS", s.Flight.ClientTLS)
}

func (c *checker) serverTLS(path string, t ServerTLS) {
	switch {
	case t == ServerTLS{}:
	case t.CertFile == "":
		c.problem(path+".certFile", "name the certificate too: TLS needs certFile and keyFile")
	case t.KeyFile == "":
		c.problem(path+".keyFile", "name the key too: TLS needs certFile and keyFile")
	}
}

func (c *checker) clientTLS(path string, t ClientTLS) {
	switch {
	case t.CertFile == "" && t.KeyFile != "":
		c.problem(path+".certFile", "name the certificate too: a client shows certFile and keyFile, or neither")
	case t.CertFile != "" && t.KeyFile == "":
		c.problem(path+".keyFile", "name the key too: a client shows certFile and keyFile, or neither")
	}
	if t.CAFile != "" && t.InsecureSkipVerify {
		c.problem(path+".insecureSkipVerify", "it would make caFile useless: leave out one of them")
	}
}

func (s Server) checkAccess(c *checker) {
	for i, t := range s.Access.Tokens {
		path := fmt.Sprintf("access.tokens[%d]", i)
		// The value is not shown: role and secret stand side by side, and somebody swaps them.
		if roles := []string{"read", "write", "admin"}; !slices.Contains(roles, t.Role) {
			c.problem(path+".role", "it is not one of: %s%s", strings.Join(roles, ", "), nearest.Question(nearest.Name(t.Role, roles)))
		}
		if _, err := secure.NewAccess([]secure.Token{{Name: t.Name, Role: secure.RoleRead, Secret: t.Secret}}); err != nil {
			c.problem(path, "%s", withoutNumber(err))
		}
		for _, other := range s.Access.Tokens[:i] {
			if other.Name == t.Name && t.Name != "" {
				c.problem(path+".name", "%q is the name of another token", strictyaml.Shown(t.Name))
			}
			if other.Secret == t.Secret && t.Secret != "" {
				c.problem(path+".secret", "it is also that of %q: every token needs its own", strictyaml.Shown(other.Name))
			}
		}
	}
	if s.Access.PeerToken == "" {
		return
	}
	if _, err := secure.NewAccess([]secure.Token{{Name: "peer", Role: secure.RoleAdmin, Secret: s.Access.PeerToken}}); err != nil {
		c.problem("access.peerToken", "%s", withoutNumber(err))
	}
	if s.Flight.TLS == (ServerTLS{}) && !s.Flight.AllowPlainToken && !isLoopback(s.Flight.Address) {
		c.problem("flight.tls", "access.peerToken would cross the network in plain text: give a certificate, or set flight.allowPlainToken "+
			"where nobody else can listen")
	}
}

// withoutNumber leaves out which token of the list it was: the path says so.
func withoutNumber(err error) string {
	if _, message, ok := strings.Cut(err.Error(), "): "); ok {
		return message
	}
	return err.Error()
}

func (s Server) checkStores(c *checker) {
	if len(s.Etcd.Endpoints) == 0 {
		c.problem("etcd.endpoints", "name at least one member, such as 127.0.0.1:2379")
	}
	for i, endpoint := range s.Etcd.Endpoints {
		c.endpoint(fmt.Sprintf("etcd.endpoints[%d]", i), endpoint)
	}
	if p := s.Etcd.Prefix; !strings.HasPrefix(p, "/") || len(p) < 2 || strings.HasSuffix(p, "/") || strings.Contains(p, "//") {
		c.problem("etcd.prefix", "%q is not like /drumlin: it begins with / and does not end with it", strictyaml.Shown(p))
	}
	if s.Etcd.Password != "" && s.Etcd.Username == "" {
		c.problem("etcd.username", "name the user whose password this is")
	}
	c.atLeast("etcd.dialTimeout", s.Etcd.DialTimeout, 100*time.Millisecond)
	c.clientTLS("etcd.tls", s.Etcd.TLS)
	if (s.Has(RoleIngest) || s.Has(RoleCoordinate)) && len(s.Kafka.BootstrapServers) == 0 {
		c.problem("kafka.bootstrapServers", "the roles ingest and coordinate need a broker, such as 127.0.0.1:9092")
	}
	for i, server := range s.Kafka.BootstrapServers {
		c.address(fmt.Sprintf("kafka.bootstrapServers[%d]", i), server, 1)
	}
	if _, twice := s.Kafka.Properties[bootstrapProperty]; twice {
		c.problem(strictyaml.Join(propertiesPath, bootstrapProperty), "brokers are named in kafka.bootstrapServers")
	} else if err := kafkaprops.Check(s.Kafka.ClientProperties()); err != nil {
		c.problem(propertiesPath, "%s", err.Error())
	}
}

// endpoint checks HOST:PORT with or without a scheme.
func (c *checker) endpoint(path, value string) {
	rest := strings.TrimPrefix(strings.TrimPrefix(value, "http://"), "https://")
	host, port, err := net.SplitHostPort(rest)
	n, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || host == "" || strings.ContainsAny(rest, "/@ ") || n < 1 || n > 65535 {
		c.problem(path, "%q is not HOST:PORT or https://HOST:PORT", shownURL(value))
	}
}

func (s Server) checkObjects(c *checker) {
	c.oneOf("objects.type", s.Objects.Type, ObjectsFile, ObjectsS3)
	if s.Objects.Type == ObjectsFile {
		c.wanted("objects.dir", s.Objects.Dir, "name a directory that all processes share")
	}
	if s.Objects.Type != ObjectsS3 {
		return
	}
	o := s.Objects.S3
	c.wanted("objects.s3.bucket", o.Bucket, "name the bucket")
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			c.problem("objects.s3.endpoint", "%q is not a URL such as http://127.0.0.1:7070", shownURL(o.Endpoint))
		}
	}
	if strings.HasPrefix(o.Prefix, "/") || strings.Contains(o.Prefix, "//") {
		c.problem("objects.s3.prefix", "%q begins with / or holds //: names of objects do not", strictyaml.Shown(o.Prefix))
	}
	if (o.AccessKeyID == "") != (o.SecretAccessKey == "") {
		c.problem("objects.s3.accessKeyId", "accessKeyId and secretAccessKey go together: give both, or neither to use the SDK's usual places")
	}
	if o.SessionToken != "" && o.AccessKeyID == "" {
		c.problem("objects.s3.sessionToken", "it belongs to an accessKeyId and a secretAccessKey")
	}
	c.countAtLeast("objects.s3.maxAttempts", o.MaxAttempts, 1)
	c.atLeast("objects.s3.requestTimeout", o.RequestTimeout, 100*time.Millisecond)
	c.bytesAtLeast("objects.s3.partBytes", o.PartBytes, 5<<20)
	c.countAtLeast("objects.s3.concurrency", o.Concurrency, 1)
	c.clientTLS("objects.s3.tls", o.TLS)
}

func (s Server) checkLimits(c *checker) {
	const leastBudget = 64 << 20
	if s.Has(RoleIngest) {
		c.bytesAtLeast("ingest.maxHotBytes", s.Ingest.MaxHotBytes, leastBudget)
	}
	if s.Has(RoleQuery) {
		c.wanted("cache.dir", s.Cache.Dir, "name a directory for local copies of segments")
		c.bytesAtLeast("cache.maxBytes", s.Cache.MaxBytes, leastBudget)
		c.bytesAtLeast("query.maxBytes", s.Query.MaxBytes, leastBudget)
		c.bytesAtLeast("query.maxHotBytes", s.Query.MaxHotBytes, leastBudget)
	}
	if s.Has(RoleQuery) || s.Has(RoleCompact) || s.Has(RoleIngest) {
		c.wanted("spill.dir", s.Spill.Dir, "name a directory for what does not fit in memory")
	}
	c.bytesAtLeast("spill.maxBytes", s.Spill.MaxBytes, 0)
	c.bytesAtLeast("query.hotCacheBytes", s.Query.HotCacheBytes, 0)
	c.countAtLeast("query.threads", s.Query.Threads, 0)
	c.countAtLeast("query.maxConcurrent", s.Query.MaxConcurrent, 1)
	c.countAtLeast("compaction.slots", s.Compaction.Slots, 1)
	c.countAtLeast("compaction.clusterSlots", s.Compaction.ClusterSlots, 1)
	c.bytesAtLeast("compaction.maxBytes", s.Compaction.MaxBytes, 16<<20)
	for _, d := range []struct {
		path  string
		value time.Duration
	}{
		{"ingest.discoverInterval", s.Ingest.DiscoverInterval},
		{"query.queueTimeout", s.Query.QueueTimeout},
		{"query.defaultTimeout", s.Query.DefaultTimeout},
		{"query.maxTimeout", s.Query.MaxTimeout},
		{"query.hotBudget", s.Query.HotBudget},
		{"query.objectBudget", s.Query.ObjectBudget},
		{"compaction.recentInterval", s.Compaction.RecentInterval},
		{"compaction.historicalInterval", s.Compaction.HistoricalInterval},
		{"compaction.retentionInterval", s.Compaction.RetentionInterval},
		{"compaction.collectInterval", s.Compaction.CollectInterval},
	} {
		c.atLeast(d.path, d.value, 100*time.Millisecond)
	}
	c.atLeast("compaction.collectGrace", s.Compaction.CollectGrace, time.Millisecond)
	if s.Query.DefaultTimeout > s.Query.MaxTimeout {
		c.problem("query.defaultTimeout", "%s is more than query.maxTimeout, %s", durationText(s.Query.DefaultTimeout), durationText(s.Query.MaxTimeout))
	}
}

// shownURL is shown without what may be a password.
func shownURL(value string) string {
	if before, after, ok := strings.Cut(value, "@"); ok {
		scheme, _, found := strings.Cut(before, "://")
		if found {
			return strictyaml.Shown(scheme + "://…@" + after)
		}
		return strictyaml.Shown("…@" + after)
	}
	return strictyaml.Shown(value)
}

// problemsOf returns the problems in an error of this package.
func problemsOf(err error) Problems {
	var problems Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		return problems
	}
	return Problems{{Message: err.Error()}}
}
