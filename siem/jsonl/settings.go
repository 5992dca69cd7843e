package jsonl

import (
	"cmp"
	"path/filepath"
	"time"

	"postern/core"
	"postern/siem/sink"
)

// Settings are where files go. The zero value of every field but Folder is a good default.
type Settings struct {
	// Folder is an absolute path. It is made if it is not there.
	Folder string `json:"folder"`
	// MaxBytes is the size a file may have before compression. Default 64,000,000.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	// MaxSeconds is how long a file is written to, counted from its first event. Default 3600.
	MaxSeconds int `json:"max_seconds,omitempty"`
	// Uncompressed leaves finished files as they are, instead of compressing them with gzip.
	Uncompressed bool `json:"uncompressed,omitempty"`
}

// Abilities are those of the kind. A file is synced before it counts as delivered.
func (Settings) Abilities() sink.Abilities {
	return sink.Abilities{Acknowledges: sink.Ability{Able: true}}
}

// Validate names the first field that is wrong.
func (s Settings) Validate() error {
	switch {
	case !filepath.IsAbs(s.Folder) || filepath.Clean(s.Folder) == "/":
		return core.Invalid("folder", "an absolute path is needed, such as /var/lib/postern/events")
	case s.MaxBytes != 0 && (s.MaxBytes < 1000 || s.MaxBytes > 10_000_000_000):
		return core.Invalid("max_bytes", "1000 to 10000000000")
	case s.MaxSeconds < 0 || s.MaxSeconds > 31*24*3600:
		return core.Invalid("max_seconds", "1 to 2678400, which is 31 days")
	}
	return nil
}

func (s Settings) maxBytes() int64 { return cmp.Or(s.MaxBytes, 64_000_000) }

func (s Settings) maxAge() time.Duration {
	return time.Duration(cmp.Or(s.MaxSeconds, 3600)) * time.Second
}
