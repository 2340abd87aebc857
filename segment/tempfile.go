package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// TempFile opens a file without a name in the directory (empty: the system's own for such files): it goes with its last
// descriptor, also in a crash. A directory that is not there, or goes meanwhile, is made again.
func TempFile(dir string) (*os.File, error) {
	const attempts = 5 // each but the first follows a removal of the directory within that moment
	for attempt := 1; ; attempt++ {
		f, err := os.CreateTemp(dir, "drumlin-*")
		switch {
		case err == nil:
			if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, errors.Join(fmt.Errorf("make a temporary file: %w", err), f.Close())
			}
			return f, nil
		case attempt == attempts || dir == "" || !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("make a temporary file: %w", err)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the directory of temporary files: %w", err)
		}
	}
}
