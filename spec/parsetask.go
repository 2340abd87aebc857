package spec

import (
	"fmt"
	"math"
	"strings"

	"drumlin/internal/nearest"
	"drumlin/internal/strictyaml"
)

// ParseTask reads a task in YAML or JSON, in any of Druid's generations. The error is of type Problems and names everything
// that is wrong. Warnings name what was accepted without effect. What the datasource's rows allow is not looked at.
func ParseTask(data []byte) (t *Task, warnings []string, err error) {
	root, problems := readRoot(data, strictyaml.Map, "a task is an object with type and dataSource")
	if root == nil {
		return nil, nil, problems
	}
	vocabulary, problem := taskVocabulary(root)
	if vocabulary == nil {
		return nil, nil, append(problems, problem)
	}
	b := newBuilder(vocabulary, false)
	b.problems = problems
	o := object{b: b, node: root}
	b.check(o)
	out := b.task(o)
	if len(b.problems) > 0 {
		return nil, b.warnings, b.problems
	}
	if out.Canonical, err = finish(root); err != nil {
		return nil, b.warnings, err
	}
	return out, b.warnings, nil
}

// readRoot reads a text whose outermost value must be of a kind. The problems are those that do not keep it from being
// read; a nil root comes with those that do.
func readRoot(data []byte, kind strictyaml.Kind, want string) (*node, Problems) {
	root, problems := readTree(data)
	if root != nil && root.Kind != kind {
		return nil, append(problems, Problem{Message: fmt.Sprintf("%s, not %s", want, root.Kind)})
	}
	return root, problems
}

func taskTypes() []string {
	return []string{string(TaskCompact), string(TaskKill), string(TaskMarkUnused)}
}

func taskVocabulary(root *node) ([]Field, Problem) {
	n := root.Get("type")
	switch {
	case n == nil || n.Kind == strictyaml.List || n.Kind == strictyaml.Map || n.Text == "":
		return nil, Problem{"type", "is missing: it must be " + orList(taskTypes())}
	case n.Text == string(TaskCompact):
		return CompactFields(), Problem{}
	case n.Text == string(TaskKill):
		return KillFields(), Problem{}
	case n.Text == string(TaskMarkUnused):
		return MarkUnusedFields(), Problem{}
	case n.Text == "kafka":
		return nil, Problem{"type", "a kafka spec is a supervisor, not a task: submit it as one"}
	}
	message := fmt.Sprintf("%s is not supported; it must be %s", shown(n.Text), orList(taskTypes()))
	return nil, Problem{"type", message + nearest.Question(nearest.Name(n.Text, taskTypes()))}
}

// defaultRetries is how often a task is tried again that has no tuningConfig.
const defaultRetries = 3

func (b *builder) task(o object) *Task {
	t := &Task{Type: TaskType(o.text("type")), DataSource: b.dataSource(o), Tuning: CompactionTuning{MaxRetry: defaultRetries}}
	if o.given("id") {
		t.ID = o.text("id")
		if reason := badTaskID(t.ID); reason != "" {
			o.problem("id", "%s", reason)
		}
	}
	t.Priority, t.Policy = b.taskContext(o.child("context"))
	if t.Type != TaskCompact && o.child("context").given("policy") {
		o.child("context").problem("policy", "belongs to a compact task")
	}
	switch t.Type {
	case TaskCompact:
		b.compactInput(o, t)
		io := o.child("ioConfig")
		io.oneOf("type", "compact")
		t.AllowNonAlignedInterval = io.boolean("allowNonAlignedInterval")
		t.Change = b.change(o)
		b.olderSegmentGranularity(o, &t.Change)
		t.Tuning = b.tuning(o.child("tuningConfig"))
	case TaskKill:
		t.Intervals = o.intervals("interval", "what is deleted")
	case TaskMarkUnused:
		t.Intervals = o.intervals("interval", "what is hidden")
	}
	return t
}

func (b *builder) dataSource(o object) string {
	name := o.need("dataSource", "the name of the datasource")
	if name != "" {
		if reason := badName(name); reason != "" {
			o.problem("dataSource", "%s", reason)
		}
	}
	return name
}

// maxTaskIDBytes is the length of a file's name, which a task's id is part of the path of; a colon takes three bytes there.
const maxTaskIDBytes = 255

// badTaskID says what is wrong with a task's id: ids stand in object names and paths.
func badTaskID(id string) string {
	switch {
	case id == "":
		return "must not be empty"
	case len(id)+2*strings.Count(id, ":") > maxTaskIDBytes:
		return fmt.Sprintf("has %d bytes, colons counted three times; at most %d are allowed", len(id)+2*strings.Count(id, ":"), maxTaskIDBytes)
	case id[0] == '.' || id[0] == '-':
		return fmt.Sprintf("%s must begin with a letter, a digit or an underscore", shown(id))
	case strings.ContainsFunc(id, func(c rune) bool { return !nameCharacter(c) && c != ':' }):
		return fmt.Sprintf("%s may hold letters a–z and A–Z, digits, _, -, . and : only", shown(id))
	}
	return ""
}

// taskContext reads a context, or a taskContext.
func (b *builder) taskContext(o object) (priority int, policy string) {
	policy = o.oneOf("policy", "historical", "recent")
	if !o.given("policy") {
		policy = ""
	}
	return o.priority("priority"), policy
}

func (o object) priority(key string) int {
	n := o.whole(key, math.MinInt32)
	if n > math.MaxInt32 {
		o.problem(key, "must be at most %d", math.MaxInt32)
	}
	return int(n)
}

// intervals reads one interval, which must be given.
func (o object) intervals(key, what string) []Interval {
	text := o.need(key, what+", such as 2026-01-01/2026-01-02")
	if text == "" {
		return nil
	}
	i, err := ParseInterval(text)
	if err != nil {
		o.problem(key, "%s", err)
		return nil
	}
	return []Interval{i}
}

// compactInput reads what is compacted, in one of the two places where it may stand.
func (b *builder) compactInput(o object, t *Task) {
	io := o.child("ioConfig")
	input := io.child("inputSpec")
	if !io.given("inputSpec") {
		t.Intervals = o.intervals("interval", "what is compacted, here or in ioConfig.inputSpec")
		return
	}
	if o.given("interval") {
		o.problem("interval", "cannot be combined with ioConfig.inputSpec: say it in one of the two places")
	}
	kind := input.text("type")
	if kind == "uncompacted" {
		input.problem("type", "uncompacted is refused: give type interval and context.policy: recent, which merges new "+
			"segments and leaves compacted ones alone")
		return
	}
	switch input.oneOf("type", "interval", "segments") {
	case "segments":
		t.Segments = input.ids("segments")
		if input.given("interval") {
			input.problem("interval", "belongs to type interval")
		}
	default:
		if kind == "interval" {
			t.Intervals = input.intervals("interval", "what is compacted")
		}
		if input.given("segments") {
			input.problem("segments", "belongs to type segments")
		}
	}
}

// ids reads a list of texts that must hold one at least; a text that is listed twice counts once.
func (o object) ids(key string) []string {
	out := o.texts(key)
	if len(out) == 0 {
		o.problem(key, "is missing or empty: the ids of segments")
	}
	return out
}

// texts reads a list of texts, each once; empty ones are problems. nil: not given.
func (o object) texts(key string) []string {
	list := o.node.Get(key)
	if list == nil || list.Kind != strictyaml.List {
		return nil
	}
	out := make([]string, 0, len(list.List))
	seen := make(map[string]bool, len(list.List))
	for i, n := range list.List {
		if n.Kind != strictyaml.String {
			continue // reported
		}
		if n.Text == "" {
			o.problem(fmt.Sprintf("%s[%d]", key, i), "must not be empty")
		}
		if !seen[n.Text] {
			out = append(out, n.Text)
		}
		seen[n.Text] = true
	}
	return out
}
