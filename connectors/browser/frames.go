package browser

import (
	"context"
	"errors"
	"slices"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
)

// A page reaches into frames of its own site and into no others, and neither does our script, which runs in the documents of those
// by itself. Elements of the latter are numbered apart: the number of the document from frameShift on, and below it that of the
// element in it.
const (
	frameShift = 20
	mostFrames = 1000 // that are told apart in one tab
)

// frames are the documents in frames, by the worlds our script runs in. Under tab.mutex.
type frames struct {
	worlds  map[cdp.FrameID]string
	near    map[string]bool // the page reaches into them itself
	far     []string        // those it does not reach into, as they were met: the first has number 1
	pressed string          // the one something was pressed in last; empty: it was the page itself
}

// route finds out which document a question is about, by the elements in it, and gives it as that document understands it.
func (t *tab) route(arguments []any) (world string, own []any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	world = t.world
	bare := func(ref any) any {
		number, ok := ref.(int)
		if !ok || number < 1<<frameShift {
			return ref
		}
		world = ""
		if at := number >> frameShift; at <= len(t.frames.far) {
			world = t.frames.far[at-1]
		}
		return number & (1<<frameShift - 1)
	}
	for _, one := range arguments {
		if fields, ok := one.(entries); ok {
			list := entries{}
			for _, field := range fields {
				list = append(list, [2]any{bare(field[0]), field[1]})
			}
			one = list
		}
		own = append(own, bare(one))
	}
	return world, own
}

// touched says in which document something is pressed. The page itself then knows that it is the one in which it happened.
func (t *tab) touched(ctx context.Context, world string) {
	t.mutex.Lock()
	far := world != t.world
	t.frames.pressed = ""
	if far {
		t.frames.pressed = world
	}
	t.mutex.Unlock()
	if far {
		_, _ = ask[bool](ctx, t, "mark") // a page on its way somewhere else needs no mark
	}
}

// abroad adds to a view of the page what its frames of other sites show. One of a host that is not the app's is not looked at, so
// that nothing is typed into it, whatever it shows.
func (t *tab) abroad(ctx context.Context, options lookOptions, now *view) error {
	if now.Size == 0 {
		return nil // not searched either
	}
	t.mutex.Lock()
	alive := map[string]bool{}
	for _, world := range t.frames.worlds {
		alive[world] = true
		if !t.frames.near[world] && !slices.Contains(t.frames.far, world) && len(t.frames.far) < mostFrames {
			t.frames.far = append(t.frames.far, world)
		}
	}
	now.Same = now.Same && (t.frames.pressed == "" || alive[t.frames.pressed])
	far := slices.Clone(t.frames.far)
	for i, world := range far {
		if !alive[world] || t.frames.near[world] {
			far[i] = ""
		}
	}
	t.mutex.Unlock()
	for i, world := range far {
		if world == "" {
			continue
		}
		inside, err := askIn[*view](ctx, t, world, "abroad", options)
		switch {
		case errors.Is(err, errMoving):
			continue
		case err != nil:
			return err
		case inside == nil:
			t.mutex.Lock()
			t.frames.near[world] = true
			t.mutex.Unlock()
			continue
		}
		if t.proxy.admits(inside.Address) {
			now.add(*inside, (i+1)<<frameShift)
		}
	}
	return nil
}

// add has a view show what a frame of another site does.
func (v *view) add(inside view, number int) {
	for i := range inside.Forms {
		f := &inside.Forms[i]
		f.Frame = inside.Address
		for k := range f.Fields {
			f.Fields[k].Ref += number
		}
		if f.Submit != nil {
			f.Submit.Ref += number
		}
	}
	for _, refs := range [][]int{inside.Reveal, inside.Links} {
		for i := range refs {
			refs[i] += number
		}
	}
	v.Forms, v.Reveal, v.Links = append(v.Forms, inside.Forms...), append(v.Reveal, inside.Reveal...), append(v.Links, inside.Links...)
	v.Errors, v.Notices = append(v.Errors, inside.Errors...), append(v.Notices, inside.Notices...)
	v.Lines, v.Present = append(v.Lines, inside.Lines...), append(v.Present, inside.Present...)
	v.Out, v.Captcha = v.Out || inside.Out, v.Captcha || inside.Captcha
	v.Size, v.Scripts = v.Size+inside.Size, v.Scripts+inside.Scripts
}

// middle is that of an element in a frame of another site, which is scrolled to, as the window has it.
func (t *tab) middle(ctx context.Context, ref int) (x, y float64, err error) {
	object, err := t.object(ctx, "(ref) => postern.element(ref)", ref)
	if err != nil || object == "" {
		return 0, 0, errors.Join(err, errButton)
	}
	if _, err := cdp.Call(ctx, t.target, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{ObjectID: object}); err != nil {
		return 0, 0, t.fault(ctx, err)
	}
	found, err := cdp.Call(ctx, t.target, dom.GetContentQuads, dom.GetContentQuadsParams{ObjectID: object})
	if err != nil {
		return 0, 0, t.fault(ctx, err)
	}
	if len(found.Quads) == 0 || len(found.Quads[0]) != 8 {
		return 0, 0, errButton
	}
	for i, at := range found.Quads[0] {
		if i%2 == 0 {
			x += at / 4
		} else {
			y += at / 4
		}
	}
	return x, y, nil
}
