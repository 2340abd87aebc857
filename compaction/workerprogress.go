package compaction

// A chunk of so many rows takes long enough that its task's log should tell how far it is.
const minLoggedRows = 500_000

// rowProgress logs each tenth of a long job's rows.
func (r *taskRun) rowProgress(interval string) func(done, total int64) {
	logged := int64(0)
	return func(done, total int64) {
		if total < minLoggedRows {
			return
		}
		if tenth := done * 10 / total; tenth > logged {
			logged = tenth
			r.log("rows", "interval", interval, "percent", tenth*10, "done", done, "total", total)
		}
	}
}
