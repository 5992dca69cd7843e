package scim

import (
	"net/http"
	"strconv"
	"strings"

	"postern/core"
)

// etag is how a version is written.
func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// precondition refuses what was meant for another version (RFC 9110, section 13; RFC 7644, section
// 3.14). Tags are compared weakly, since ours are weak and SCIM sends them in If-Match all the same.
// An If-None-Match that matches refuses a change; of a read it is what unchanged answers.
func (r *request) precondition(version int64) error {
	if tags := r.tags("If-Match"); tags != "" && !matchesTag(tags, version) {
		return core.Stale("the resource has changed; read it again")
	}
	if r.reading() == http.MethodGet {
		return nil
	}
	if tags := r.tags("If-None-Match"); tags != "" && matchesTag(tags, version) {
		return core.Stale("the resource is there already, in a version that If-None-Match excludes")
	}
	return nil
}

// unchanged reports whether the client has this version already.
func (r *request) unchanged(version int64) bool {
	tags := r.tags("If-None-Match")
	return tags != "" && matchesTag(tags, version)
}

// tags are those of all headers of a name together.
func (r *request) tags(name string) string {
	values := r.Header.Values(name)
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}

func matchesTag(header string, version int64) bool {
	wanted := strings.TrimPrefix(etag(version), "W/")
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == wanted {
			return true
		}
	}
	return false
}
