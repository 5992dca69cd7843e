package browser

import (
	"context"
	"sync"
	"time"
)

// spareLife is how long an empty page waits for a job.
const spareLife = 15 * time.Second

// spares keep one empty page ready in a browser context that no job has used, made while the job
// before goes on: the sign-ins of a rotation follow each other, and making a page is a good part of
// one. Until it is taken, its proxy lets nothing out.
type spares struct {
	mutex  sync.Mutex
	ready  *spare
	making bool
}

type spare struct {
	process *process
	tab     *tab
	end     func()
}

// prepare makes a page in the background, unless there is one.
func (s *spares) prepare(p *process) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.making || s.ready != nil && s.ready.process == p && !s.ready.lost() {
		return
	}
	s.making = true
	p.tabs.Go(func() {
		made := newSpare(p)
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.making = false
		if made == nil {
			return
		}
		if s.ready != nil {
			s.ready.end()
		}
		s.ready = made
		time.AfterFunc(spareLife, func() { s.drop(func(one *spare) bool { return one == made }) })
	})
}

// newSpare returns nil if a page cannot be made: a job will find that out for itself.
func newSpare(p *process) *spare {
	way, err := newProxy(nil, false)
	if err != nil {
		return nil
	}
	t, end, err := openTab(p.ctx, p, way)
	if err != nil {
		way.close()
		return nil
	}
	return &spare{process: p, tab: t, end: end}
}

func (s *spare) lost() bool { return s.tab.ctx.Err() != nil }

// take gives the page that is ready to a job, which may reach the domains. It ends with ctx.
func (s *spares) take(ctx context.Context, p *process, domains []string, allowPrivate bool) (t *tab, end func(), found bool) {
	s.mutex.Lock()
	one := s.ready
	if one == nil || one.process != p {
		s.mutex.Unlock()
		return nil, nil, false
	}
	s.ready = nil
	s.mutex.Unlock()
	if one.lost() {
		one.end()
		return nil, nil, false
	}
	one.tab.proxy.allow(domains, allowPrivate)
	stop := context.AfterFunc(ctx, one.end)
	return one.tab, func() { stop(); one.end() }, true
}

// drop ends the page that is ready, if it is the one meant.
func (s *spares) drop(meant func(*spare) bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ready != nil && meant(s.ready) {
		s.ready.end()
		s.ready = nil
	}
}
