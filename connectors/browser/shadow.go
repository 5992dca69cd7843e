package browser

import (
	"context"
	"fmt"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"
)

// openShadows has the page's scripts make their shadow roots open, so that what is in them can be found. It runs in the page's
// own world, before any script of the page's. Closed ones that stand in the HTML itself are left to search.
const openShadows = `(() => {
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function attachShadow(options) { return attach.call(this, { ...options, mode: 'open' }); };
})()`

// look asks page.js what the page shows, in closed shadow roots too where the app has any.
func (t *tab) look(ctx context.Context, options lookOptions) (view, error) {
	for {
		now, err := ask[view](ctx, t, "look", options)
		if err == nil {
			err = t.abroad(ctx, options, &now)
		}
		if err != nil || !t.veiled || !t.search(ctx, now) {
			return now, err
		}
	}
}

// search looks for closed shadow roots in the page's HTML (<template shadowrootmode="closed">), once for as long as it has the
// same elements, and reports whether there are any. No script sees that one is there, and the browser takes longer to
// tell than all the rest of a look does: it is for pages without what they should have, and for apps that have such roots.
func (t *tab) search(ctx context.Context, now view) bool {
	state := fmt.Sprintf("%s %d", t.document(), now.Size)
	if now.Size == 0 || now.Ready == "loading" || t.searched == state {
		return false
	}
	t.searched = state
	found, err := t.disclose(ctx)
	t.veiled = t.veiled || found > 0
	return err == nil && found > 0
}

// shadowGroup names what the browser keeps for disclose, until it is told to let go.
const shadowGroup = "shadows"

// disclose hands the page's closed shadow roots to page.js, and says how many there are.
func (t *tab) disclose(ctx context.Context) (int, error) {
	document, err := t.object(ctx, "() => document")
	if err != nil {
		return 0, err
	}
	tree, err := cdp.Call(ctx, t.target, dom.DescribeNode, dom.DescribeNodeParams{ObjectID: document, Depth: new(int64(-1)), Pierce: new(true)})
	if err != nil {
		return 0, t.fault(ctx, err)
	}
	found := closedRoots(tree.Node)
	if len(found) == 0 {
		return 0, nil
	}
	t.mutex.Lock()
	world, inside := t.world, t.inside
	t.mutex.Unlock()
	parameters := runtime.CallFunctionOnParams{FunctionDeclaration: "(...roots) => postern.disclose(...roots)", UniqueContextID: world, ReturnByValue: new(true), Silent: new(true)}
	for _, node := range found {
		resolved, err := cdp.Call(ctx, t.target, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node, ExecutionContextID: inside, ObjectGroup: shadowGroup})
		if err == nil && resolved.Object != nil && resolved.Object.ObjectID != "" { // none of another site's
			parameters.Arguments = append(parameters.Arguments, &runtime.CallArgument{ObjectID: resolved.Object.ObjectID})
		}
	}
	if _, err := cdp.Call(ctx, t.target, runtime.CallFunctionOn, parameters); err != nil {
		return 0, t.fault(ctx, err)
	}
	if _, err := cdp.Call(ctx, t.target, runtime.ReleaseObjectGroup, runtime.ReleaseObjectGroupParams{ObjectGroup: shadowGroup}); err != nil {
		return 0, t.fault(ctx, err)
	}
	return len(parameters.Arguments), nil
}

// closedRoots are the closed shadow roots below a node, in its frames too.
func closedRoots(node *cdp.Node) []cdp.BackendNodeID {
	if node == nil {
		return nil
	}
	var found []cdp.BackendNodeID
	if node.ShadowRootType == cdp.ShadowRootTypeClosed {
		found = append(found, node.BackendNodeID)
	}
	for _, list := range [][]*cdp.Node{node.Children, node.ShadowRoots, {node.ContentDocument}} {
		for _, one := range list {
			found = append(found, closedRoots(one)...)
		}
	}
	return found
}
