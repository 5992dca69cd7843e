package browser

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/connectors/browser/browsertest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

const (
	// slots are how many rotations at once are tried, to find how many are best.
	fewestSlots, mostSlots = 3, 6
	// portion is how many rotations one side does in its turn.
	portion = 24
)

// BenchmarkThroughput compares how many whole rotations a minute the connector does, at the number at once that is best for
// it, with a bare script at the number that is best for that: the same pages of the same app in the same run, in turns. A
// rotation that either spoils takes time and is none: DokuWiki keeps its users in one file and now and then loses a change
// that comes beside another. "MiB/slot" is what its browser grows by for each rotation under way, shared memory divided
// among those who share it (PSS); the browser itself comes once.
func BenchmarkThroughput(b *testing.B) {
	for name, one := range map[string]struct {
		start func(context.Context, string, apps.Options) (*apps.Site, error)
		known func(signIn, change string) browsertest.App
	}{"DokuWiki": {apps.StartDokuWiki, browsertest.DokuWiki}, "WordPress": {apps.StartWordPress, browsertest.WordPress}} {
		b.Run(name, func(b *testing.B) {
			ours := connector(b)
			site, err := one.start(b.Context(), b.TempDir(), apps.Options{Username: "shared", Password: first})
			partstest.Need(b, name, err)
			defer func() {
				if err := site.Stop(); err != nil {
					b.Error(err)
				}
			}()
			mill := mill{
				site: site, ours: ours, script: browsertest.Start(b, ours.executable), app: one.known(site.SignInURL, site.ChangeURL),
				target:    rotation.Target{AppName: name, Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL},
				passwords: map[string]string{},
			}
			for slot := range mostSlots {
				for _, kind := range []string{"ours", "bare"} {
					mill.reset(b, username(kind, slot))
				}
			}
			mill.run(b)
		})
	}
}

func username(kind string, slot int) string { return fmt.Sprint(kind, slot) }

// mill rotates the passwords of many accounts of one app, by either side.
type mill struct {
	site   *apps.Site
	ours   *Browser
	script *browsertest.Script
	app    browsertest.App
	target rotation.Target

	mutex     sync.Mutex
	passwords map[string]string
	number    atomic.Int64
	spoilt    atomic.Int64 // by the script
	failed    atomic.Int64 // by the connector
}

func (m *mill) reset(b *testing.B, username string) {
	if err := m.site.SetPassword(b.Context(), username, first); err != nil {
		b.Error(err)
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.passwords[username] = first
}

func (m *mill) run(b *testing.B) {
	// Neither pays for starting its browser, and what it takes with nothing to do is no slot's.
	must(b, m.ours.Verify(short(b), m.target, credential(username("ours", 0), first)), rotation.Accepted)
	if err := m.script.SignIn(m.app, username("bare", 0), first, true); err != nil {
		b.Fatal(err)
	}
	process, err := m.ours.acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	profile := process.profile
	m.ours.release(process, false)
	idle := proportional(profile)

	best := map[string]int{}
	for kind, work := range map[string]func(*testing.B, int) bool{"ours": m.rotate, "bare": m.scripted} {
		fastest := 0.0
		for slots := fewestSlots; slots <= mostSlots; slots++ {
			if rate := m.turn(b, work, slots, 2*slots); rate > fastest {
				fastest, best[kind] = rate, slots
			}
		}
	}
	var oursRate, bareRate []float64
	var peak atomic.Int64
	m.spoilt.Store(0)
	m.failed.Store(0)
	for b.Loop() {
		stop := watched(profile, &peak)
		oursRate = append(oursRate, m.turn(b, m.rotate, best["ours"], portion))
		stop()
		bareRate = append(bareRate, m.turn(b, m.scripted, best["bare"], portion))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(mean(oursRate), "ours/min")
	b.ReportMetric(mean(bareRate), "script/min")
	b.ReportMetric(mean(oursRate)/mean(bareRate), "ratio")
	b.ReportMetric(float64(best["ours"]), "slots")
	b.ReportMetric(float64(best["bare"]), "script-slots")
	b.ReportMetric(float64(m.spoilt.Load()), "script-failures")
	b.ReportMetric(float64(m.failed.Load()), "failures")
	if idle > 0 {
		b.ReportMetric(float64(peak.Load()-idle)/float64(best["ours"])/(1<<20), "MiB/slot")
		b.ReportMetric(float64(idle)/(1<<20), "idle-MiB")
	}
}

// turn has one side do so many rotations, so many at once, and returns how many a minute succeeded.
func (m *mill) turn(b *testing.B, work func(b *testing.B, slot int) bool, slots, many int) float64 {
	b.Helper()
	var left, done atomic.Int64
	left.Store(int64(many))
	var group sync.WaitGroup
	begun := time.Now()
	for slot := range slots {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if work(b, slot) {
					done.Add(1)
				}
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(begun).Minutes()
}

func (m *mill) next(username string) (old, next string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.passwords[username], fmt.Sprintf("Canary-next-number-%05d", m.number.Add(1))
}

func (m *mill) set(username, password string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.passwords[username] = password
}

func (m *mill) rotate(b *testing.B, slot int) bool {
	who := username("ours", slot)
	old, next := m.next(who)
	for _, one := range []struct {
		report rotation.Report
		want   rotation.Outcome
	}{
		{m.ours.Change(short(b), m.target, credential(who, old), seal.NewSecret(next), new(counter).release), rotation.Applied},
		{m.ours.Verify(short(b), m.target, credential(who, next)), rotation.Accepted},
		{m.ours.Verify(short(b), m.target, credential(who, old)), rotation.Rejected},
	} {
		if one.report.Outcome != one.want {
			b.Logf("%s: %s, expected %s: %s", who, one.report.Outcome, one.want, one.report.Detail)
			m.failed.Add(1)
			m.reset(b, who) // whichever it has
			return false
		}
	}
	m.set(who, next)
	return true
}

func (m *mill) scripted(b *testing.B, slot int) bool {
	who := username("bare", slot)
	old, next := m.next(who)
	if err := m.script.Rotate(m.app, who, old, next); err != nil {
		// Without a gate and a read-back it now and then sets a password nobody knows.
		m.spoilt.Add(1)
		m.reset(b, who)
		return false
	}
	m.set(who, next)
	return true
}

func mean(rates []float64) float64 {
	sum := 0.0
	for _, rate := range rates {
		sum += rate
	}
	return sum / float64(len(rates))
}

// watched keeps the most memory a browser takes, until it is stopped.
func watched(profile string, peak *atomic.Int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			peak.Store(max(peak.Load(), proportional(profile)))
			select {
			case <-done:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// proportional is the memory in bytes of the browser with a profile and of all its processes, each page that several share
// divided among them (proc(5), smaps_rollup: Pss); 0 where the system does not tell.
func proportional(profile string) int64 {
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	parents, members := map[string]string{}, map[string]bool{}
	for _, entry := range entries {
		stat, err := os.ReadFile(entry)
		if err != nil {
			continue
		}
		id := filepath.Base(filepath.Dir(entry))
		// The name in brackets may hold spaces.
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 {
			parents[id] = fields[1]
		}
		if line, err := os.ReadFile("/proc/" + id + "/cmdline"); err == nil && bytes.Contains(line, []byte(profile)) {
			members[id] = true
		}
	}
	var total int64
	for id := range parents {
		for above := id; above != ""; above = parents[above] {
			if members[above] {
				total += pss(id)
				break
			}
		}
	}
	return total
}

func pss(id string) int64 {
	file, err := os.Open("/proc/" + id + "/smaps_rollup")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "Pss:" {
			kilobytes, _ := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}
