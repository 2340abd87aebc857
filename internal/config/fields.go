package config

// Field is what is said of one field, or of a section.
type Field struct{ Path, Note string }

// Fields says what every field means, in the order of the file. Sections have an entry too.
func Fields() []Field {
	var fields []Field
	for _, part := range [][]Field{processFields(), addressFields(), accessFields(), storeFields(), limitFields()} {
		fields = append(fields, part...)
	}
	return fields
}

func processFields() []Field {
	return []Field{
		{"node", "Who this process is."},
		{"node.id", "Its name in the cluster, unique, and the same after a restart. Empty: host name and HTTP port."},
		{"roles", "What this process does: ingest (read Kafka), coordinate (policies, retention, collection), compact (run tasks), " +
			"query (answer SQL). Any of them."},
	}
}

func addressFields() []Field {
	fields := []Field{
		{"http", "SQL, supervisors, tasks, status and metrics, for people and programs."},
		{"http.address", "HOST:PORT to listen on. 0.0.0.0 listens on every interface."},
		{"http.advertise", "HOST:PORT under which others reach it. Empty: http.address, with the host name in place of 0.0.0.0."},
	}
	fields = append(fields, serverTLSFields("http.tls")...)
	fields = append(fields,
		Field{"http.openMetrics", "Show /metrics without a token."},
		Field{"flight", "What processes ask each other: hot rows, status, handoffs, logs. Never for people."},
		Field{"flight.address", "HOST:PORT to listen on."},
		Field{"flight.advertise", "HOST:PORT under which other processes reach it. Empty: as for http.advertise."},
	)
	fields = append(fields, serverTLSFields("flight.tls")...)
	fields = append(fields, clientTLSFields("flight.clientTLS", "How this process asks others.")...)
	return append(fields, Field{
		"flight.allowPlainToken",
		"Send access.peerToken without TLS, on a network that nobody else can listen to.",
	})
}

func accessFields() []Field {
	return []Field{
		{"access", "Who may do what. Without tokens everybody who reaches the port may do everything."},
		{"access.tokens", "Bearer tokens of users and programs, each {name, role, secret}."},
		{"access.tokens[].name", "What the log calls its bearer."},
		{"access.tokens[].role", "read (SQL, lists, status), write (also supervisors, tasks, handoffs) or admin (everything)."},
		{"access.tokens[].secret", "The token: 16 characters or more. Write ${NAME} to take it from the environment."},
		{"access.peerToken", "What processes show each other: the same in all of them. Empty: none is wanted."},
	}
}

func storeFields() []Field {
	fields := []Field{
		{"etcd", "What is live: commits, chunks, owners, tasks. The same in every process of a cluster."},
		{"etcd.endpoints", "Members, each HOST:PORT or https://HOST:PORT."},
		{"etcd.prefix", "Begins every key: one etcd can serve several clusters."},
		{"etcd.username", "Empty: etcd asks for no password."},
		{"etcd.password", "Write ${NAME} to take it from the environment."},
		{"etcd.dialTimeout", "How long a first connection may take."},
	}
	fields = append(fields, clientTLSFields("etcd.tls", "How etcd is trusted, where endpoints are https or any of these is set.")...)
	fields = append(fields,
		Field{"kafka", "Where records come from. Needed for the roles ingest and coordinate."},
		Field{"kafka.bootstrapServers", "Brokers to begin with, each HOST:PORT. A spec may name others."},
		Field{"kafka.properties", "Further properties, named as Java clients name them, such as security.protocol, sasl.mechanism, " +
			"sasl.jaas.config, ssl.truststore.location (PEM). A spec's consumerProperties go before them."},
		Field{"objects", "Where segments lie. The same in every process of a cluster."},
		Field{"objects.type", "file (a directory that all processes share) or s3."},
		Field{"objects.dir", "The directory, for file."},
	)
	return append(fields, s3Fields()...)
}

func s3Fields() []Field {
	fields := []Field{
		{"objects.s3", "The bucket, for s3: AWS, R2, MinIO, versitygw and others."},
		{"objects.s3.bucket", "It must exist."},
		{"objects.s3.prefix", "Begins the name of every object, such as drumlin/prod."},
		{"objects.s3.region", "Where the bucket is. Empty: the AWS SDK's usual places, or us-east-1 where there is an endpoint."},
		{"objects.s3.endpoint", "URL of a store that is not AWS, such as http://127.0.0.1:7070. Empty: AWS."},
		{"objects.s3.pathStyle", "Put the bucket into the path, not into the host's name: most stores that are not AWS want it."},
		{"objects.s3.accessKeyId", "Empty: keys come from the AWS SDK's usual places, such as AWS_ACCESS_KEY_ID, or the machine's role."},
		{"objects.s3.secretAccessKey", "Write ${NAME} to take it from the environment."},
		{"objects.s3.sessionToken", "Of temporary keys."},
		{"objects.s3.maxAttempts", "How often one request is tried."},
		{"objects.s3.requestTimeout", "How long one attempt may take; large objects get more."},
		{"objects.s3.partBytes", "Larger objects are uploaded in parts of this size, 5 MiB or more."},
		{"objects.s3.concurrency", "Parts of one object on their way at a time."},
	}
	return append(fields, clientTLSFields("objects.s3.tls", "How the endpoint is trusted.")...)
}

func limitFields() []Field {
	return []Field{
		{"cache", "Local copies of segments, for queries. It may be lost at any time."},
		{"cache.dir", "A directory of this process alone."},
		{"cache.maxBytes", "What is used longest ago goes first."},
		{"spill", "What queries, handoffs and tasks put on disk while they run. It may be lost at any time."},
		{"spill.dir", "A directory of this process alone."},
		{"spill.maxBytes", "What all queries together may have there."},
		{"ingest", "Limits of the role ingest."},
		{"ingest.maxHotBytes", "Memory for hot rows. At 70 % they are handed off early, at 85 % reading pauses."},
		{"ingest.discoverInterval", "How often new topics and partitions are looked for."},
		{"query", "Limits of the role query."},
		{"query.maxBytes", "Memory of the query engine. Beyond it queries spill, or fail."},
		{"query.maxHotBytes", "Memory for hot rows that other processes send, of all queries together."},
		{"query.hotCacheBytes", "How much of that is kept between queries, so that rows that have come need not come again: half at most. 0: nothing."},
		{"query.threads", "Threads of the query engine. 0: one for each processor."},
		{"query.maxConcurrent", "Queries at a time; further ones wait."},
		{"query.queueTimeout", "How long a query waits for its turn."},
		{"query.defaultTimeout", "Time of a query that names none."},
		{"query.maxTimeout", "Time of any query."},
		{"query.hotBudget", "How long a query waits for owners of hot rows that do not answer, before it fails and names them. " +
			"A takeover after a crash takes leaseTTL, and the time to read again what only memory held."},
		{"query.objectBudget", "How long nothing may come of an object that a query needs, before it fails and names it."},
		{"compaction", "Limits of the role compact, and how often the role coordinate looks."},
		{"compaction.maxBytes", "Memory of one task; beyond it the task spills to disk."},
		{"compaction.slots", "Tasks that run at a time in this process."},
		{"compaction.clusterSlots", "Tasks that run at a time in all processes together; the same in all of them."},
		{"compaction.recentInterval", "How often auto-compaction looks for small merges of new chunks."},
		{"compaction.historicalInterval", "How often auto-compaction looks for chunks to compact whole."},
		{"compaction.retentionInterval", "How often retention rules and dedup horizons are looked at."},
		{"compaction.collectInterval", "How often objects that nothing shows any more are looked for."},
		{"compaction.collectGrace", "How long what a compaction has replaced stays for readers."},
		{"log", "What the process writes to standard error."},
		{"log.level", "debug, info, warn or error."},
		{"log.format", "text or json."},
		{"leaseTTL", "After how long without a sign of life the partitions of a process go to others."},
		{"stopTimeout", "How long the last handoffs may take when the process is asked to stop, and that of a partition which another process waits for."},
	}
}

func serverTLSFields(path string) []Field {
	return []Field{
		{path, "Without a certificate this listener is in plain text."},
		{path + ".certFile", "PEM file of the certificate and those above it. Read again when it changes."},
		{path + ".keyFile", "PEM file of its key."},
		{path + ".clientCAFile", "PEM file of authorities: only clients with a certificate of theirs are served. Empty: all are."},
	}
}

func clientTLSFields(path, note string) []Field {
	return []Field{
		{path, note},
		{path + ".caFile", "PEM file of authorities to trust. Empty: those of the system."},
		{path + ".certFile", "PEM file of a certificate to show. Empty: none."},
		{path + ".keyFile", "PEM file of its key."},
		{path + ".serverName", "The name that the certificate must have. Empty: the host that is asked."},
		{path + ".insecureSkipVerify", "Believe any certificate. For trials only."},
	}
}
