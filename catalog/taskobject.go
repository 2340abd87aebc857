package catalog

import (
	"fmt"
	"strings"
)

// TaskObjectPrefix is what the names of all objects of tasks begin with.
const TaskObjectPrefix = "tasks/"

// TaskObject names what an attempt of a task leaves behind: what is report.json or log.txt. The epoch is that of the
// attempt's claim, so that a name is never used twice, whoever else believes that he runs the attempt.
func TaskObject(id string, attempt int, epoch int64, what string) string {
	return fmt.Sprintf("%s%s/%d-e%d-%s", TaskObjectPrefix, escapePart(id), attempt, epoch, what)
}

// TaskOfObject is the id of the task that an object named by TaskObject belongs to; ok is false for any other name.
func TaskOfObject(object string) (id string, ok bool) {
	rest, found := strings.CutPrefix(object, TaskObjectPrefix)
	if !found {
		return "", false
	}
	part, _, found := strings.Cut(rest, "/")
	if !found {
		return "", false
	}
	id, err := unescapePart(part)
	return id, err == nil
}
