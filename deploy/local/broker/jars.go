package broker

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"postern/core"
)

//go:embed pom.xml
var pom []byte

// Version is the release of Apache Kafka that Jars fetches.
func Version() string {
	var project struct {
		Dependencies []struct {
			Artifact string `xml:"artifactId"`
			Version  string `xml:"version"`
		} `xml:"dependencies>dependency"`
	}
	if err := xml.Unmarshal(pom, &project); err != nil || len(project.Dependencies) == 0 {
		panic(fmt.Sprintf("broker: pom.xml: %v", err)) // embedded: the build is broken
	}
	return project.Dependencies[0].Version
}

// Jars returns the folder with the jars of Apache Kafka: in $POSTERN_CACHE, or the user's cache
// folder. The first time Maven fetches them, from wherever the machine's Maven settings say. It is
// NotFound where Java or Maven are missing or Maven fetches nothing.
func Jars(ctx context.Context) (string, error) {
	cache := os.Getenv("POSTERN_CACHE")
	if cache == "" {
		users, err := os.UserCacheDir()
		if err != nil {
			return "", core.NotFound("cache folder; set POSTERN_CACHE to one").Because(err)
		}
		cache = filepath.Join(users, "postern")
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", core.NotFound("Java on this machine, which Apache Kafka needs")
	}
	folder := filepath.Join(cache, "kafka-"+Version())
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return "", core.NotFound("Maven on this machine, which fetches Apache Kafka")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", core.Internal(err)
	}
	// Fetched beside and renamed at the end: a folder of that name is always complete.
	half, err := os.MkdirTemp(cache, "kafka-fetching-")
	if err != nil {
		return "", core.Internal(err)
	}
	defer func() { _ = os.RemoveAll(half) }()
	if err := os.WriteFile(filepath.Join(half, "pom.xml"), pom, 0o644); err != nil {
		return "", core.Internal(err)
	}
	fetch := exec.CommandContext(ctx, maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=jars")
	fetch.Dir = half
	if output, err := fetch.CombinedOutput(); err != nil {
		return "", core.NotFound("Apache Kafka where Maven looks").Because(fmt.Errorf("mvn: %w\n%s", err, bytes.TrimSpace(output)))
	}
	if err := os.Chmod(filepath.Join(half, "jars"), 0o755); err != nil {
		return "", core.Internal(err)
	}
	if err := os.Rename(filepath.Join(half, "jars"), folder); err != nil {
		if _, there := os.Stat(folder); there == nil { // another process was quicker
			return folder, nil
		}
		return "", core.Internal(err)
	}
	return folder, nil
}
