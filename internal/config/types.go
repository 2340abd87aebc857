package config

import (
	"time"

	"drumlin/internal/secure"
)

// The roles of a process.
const (
	RoleIngest     = "ingest"
	RoleCoordinate = "coordinate"
	RoleCompact    = "compact"
	RoleQuery      = "query"
)

// AllRoles returns every role, in the order in which they are told.
func AllRoles() []string { return []string{RoleIngest, RoleCoordinate, RoleCompact, RoleQuery} }

// The kinds of object store.
const (
	ObjectsFile = "file"
	ObjectsS3   = "s3"
)

// Bytes is a size: "2GiB", "512MiB", or a number of bytes.
type Bytes int64

// Server is the configuration of one process. What each field means is told by Fields.
type Server struct {
	Node        Node          `yaml:"node"`
	Roles       []string      `yaml:"roles"`
	HTTP        HTTP          `yaml:"http"`
	Flight      Flight        `yaml:"flight"`
	Access      Access        `yaml:"access"`
	Etcd        Etcd          `yaml:"etcd"`
	Kafka       Kafka         `yaml:"kafka"`
	Objects     Objects       `yaml:"objects"`
	Cache       Directory     `yaml:"cache"`
	Spill       Directory     `yaml:"spill"`
	Ingest      Ingest        `yaml:"ingest"`
	Query       Query         `yaml:"query"`
	Compaction  Compaction    `yaml:"compaction"`
	Log         Log           `yaml:"log"`
	LeaseTTL    time.Duration `yaml:"leaseTTL"`
	StopTimeout time.Duration `yaml:"stopTimeout"`
}

// Node names the process.
type Node struct {
	ID string `yaml:"id"`
}

// HTTP is the interface for people and programs.
type HTTP struct {
	Address     string    `yaml:"address"`
	Advertise   string    `yaml:"advertise"`
	TLS         ServerTLS `yaml:"tls"`
	OpenMetrics bool      `yaml:"openMetrics"`
}

// Flight is the interface between processes.
type Flight struct {
	Address         string    `yaml:"address"`
	Advertise       string    `yaml:"advertise"`
	TLS             ServerTLS `yaml:"tls"`
	ClientTLS       ClientTLS `yaml:"clientTLS"`
	AllowPlainToken bool      `yaml:"allowPlainToken"`
}

// ServerTLS is the certificate that a listener shows.
type ServerTLS struct {
	CertFile     string `yaml:"certFile"`
	KeyFile      string `yaml:"keyFile"`
	ClientCAFile string `yaml:"clientCAFile"`
}

// ClientTLS says whom a client trusts and what it shows.
type ClientTLS struct {
	CAFile             string `yaml:"caFile"`
	CertFile           string `yaml:"certFile"`
	KeyFile            string `yaml:"keyFile"`
	ServerName         string `yaml:"serverName"`
	InsecureSkipVerify bool   `yaml:"insecureSkipVerify"`
}

// Access says who may do what.
type Access struct {
	Tokens    []Token       `yaml:"tokens"`
	PeerToken secure.Secret `yaml:"peerToken"`
}

// Token is what one user or program presents.
type Token struct {
	Name   string        `yaml:"name"`
	Role   string        `yaml:"role"`
	Secret secure.Secret `yaml:"secret"`
}

// Etcd is where the catalog is.
type Etcd struct {
	Endpoints   []string      `yaml:"endpoints"`
	Prefix      string        `yaml:"prefix"`
	Username    string        `yaml:"username"`
	Password    secure.Secret `yaml:"password"`
	DialTimeout time.Duration `yaml:"dialTimeout"`
	TLS         ClientTLS     `yaml:"tls"`
}

// Kafka is where records come from.
type Kafka struct {
	BootstrapServers []string                 `yaml:"bootstrapServers"`
	Properties       map[string]secure.Secret `yaml:"properties"`
}

// Objects is where segments lie.
type Objects struct {
	Type string `yaml:"type"`
	Dir  string `yaml:"dir"`
	S3   S3     `yaml:"s3"`
}

// S3 is a bucket, on AWS or on a store that speaks its protocol.
type S3 struct {
	Bucket          string        `yaml:"bucket"`
	Prefix          string        `yaml:"prefix"`
	Region          string        `yaml:"region"`
	Endpoint        string        `yaml:"endpoint"`
	PathStyle       bool          `yaml:"pathStyle"`
	AccessKeyID     string        `yaml:"accessKeyId"`
	SecretAccessKey secure.Secret `yaml:"secretAccessKey"`
	SessionToken    secure.Secret `yaml:"sessionToken"`
	MaxAttempts     int           `yaml:"maxAttempts"`
	RequestTimeout  time.Duration `yaml:"requestTimeout"`
	PartBytes       Bytes         `yaml:"partBytes"`
	Concurrency     int           `yaml:"concurrency"`
	TLS             ClientTLS     `yaml:"tls"`
}

// Directory is local disk that may be lost at any time.
type Directory struct {
	Dir      string `yaml:"dir"`
	MaxBytes Bytes  `yaml:"maxBytes"`
}

// Ingest bounds the role ingest.
type Ingest struct {
	MaxHotBytes      Bytes         `yaml:"maxHotBytes"`
	DiscoverInterval time.Duration `yaml:"discoverInterval"`
}

// Query bounds the role query.
type Query struct {
	MaxBytes       Bytes         `yaml:"maxBytes"`
	MaxHotBytes    Bytes         `yaml:"maxHotBytes"`
	HotCacheBytes  Bytes         `yaml:"hotCacheBytes"`
	Threads        int           `yaml:"threads"`
	MaxConcurrent  int           `yaml:"maxConcurrent"`
	QueueTimeout   time.Duration `yaml:"queueTimeout"`
	DefaultTimeout time.Duration `yaml:"defaultTimeout"`
	MaxTimeout     time.Duration `yaml:"maxTimeout"`
	HotBudget      time.Duration `yaml:"hotBudget"`
	ObjectBudget   time.Duration `yaml:"objectBudget"`
}

// Compaction bounds the role compact, and says when the standing duties of the role coordinate come.
type Compaction struct {
	MaxBytes           Bytes         `yaml:"maxBytes"`
	Slots              int           `yaml:"slots"`
	ClusterSlots       int           `yaml:"clusterSlots"`
	RecentInterval     time.Duration `yaml:"recentInterval"`
	HistoricalInterval time.Duration `yaml:"historicalInterval"`
	RetentionInterval  time.Duration `yaml:"retentionInterval"`
	CollectInterval    time.Duration `yaml:"collectInterval"`
	CollectGrace       time.Duration `yaml:"collectGrace"`
}

// Log is what the process writes to standard error.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Default returns what a process on a laptop needs, with etcd and Kafka on their usual ports beside it.
func Default() Server {
	return Server{
		Roles:  AllRoles(),
		HTTP:   HTTP{Address: "127.0.0.1:8888"},
		Flight: Flight{Address: "127.0.0.1:8889"},
		Etcd:   Etcd{Endpoints: []string{"127.0.0.1:2379"}, Prefix: "/drumlin", DialTimeout: 5 * time.Second},
		Kafka:  Kafka{BootstrapServers: []string{"127.0.0.1:9092"}},
		Objects: Objects{
			Type: ObjectsFile, Dir: "drumlin-objects",
			S3: S3{MaxAttempts: 8, RequestTimeout: 15 * time.Second, PartBytes: 16 << 20, Concurrency: 4},
		},
		Cache:  Directory{Dir: "drumlin-cache", MaxBytes: 8 << 30},
		Spill:  Directory{Dir: "drumlin-spill", MaxBytes: 8 << 30},
		Ingest: Ingest{MaxHotBytes: 2 << 30, DiscoverInterval: 5 * time.Second},
		Query: Query{
			MaxBytes: 2 << 30, MaxHotBytes: 1 << 30, HotCacheBytes: 512 << 20, MaxConcurrent: 8, QueueTimeout: 5 * time.Second, DefaultTimeout: time.Minute,
			MaxTimeout: 10 * time.Minute, HotBudget: 30 * time.Second, ObjectBudget: 20 * time.Second,
		},
		Compaction: Compaction{
			MaxBytes: 256 << 20, Slots: 2, ClusterSlots: 8, RecentInterval: 30 * time.Second, HistoricalInterval: 10 * time.Minute,
			RetentionInterval: time.Minute, CollectInterval: 5 * time.Minute, CollectGrace: 10 * time.Minute,
		},
		Log:      Log{Level: "info", Format: "text"},
		LeaseTTL: 10 * time.Second, StopTimeout: 20 * time.Second,
	}
}
