package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"

	"postern/connectors/recipe"
)

// nowhere is the number of an element that is not there.
const nowhere = -1

// locate finds what a recipe's selector means on the page now shown.
func (t *tab) locate(ctx context.Context, frame []int, selector recipe.Selector) (int, error) {
	host := nowhere
	for i, text := range selector {
		last := i == len(selector)-1
		var found int
		var err error
		if named, ok := strings.CutPrefix(text, "aria/"); ok {
			found, err = t.named(ctx, frame, host, named, last)
		} else {
			found, err = ask[int](ctx, t, "locate", frame, host, text, last)
		}
		if err != nil || found == nowhere {
			return nowhere, err
		}
		host = found
	}
	return host, nil
}

// role is what the Recorder adds to a name: Sign in[role="button"].
var role = regexp.MustCompile(`\[\s*(\w+)\s*=\s*["'](.*?)["']\s*\]`)

// named finds an element by its accessible name, as the browser computes it for a screen reader.
func (t *tab) named(ctx context.Context, frame []int, host int, text string, last bool) (int, error) {
	query := accessibility.QueryAXTreeParams{}
	for _, found := range role.FindAllStringSubmatch(text, -1) {
		switch found[1] {
		case "role":
			query.Role = found[2]
		case "name":
			query.AccessibleName = found[2]
		}
	}
	if name := strings.Join(strings.Fields(role.ReplaceAllString(text, "")), " "); name != "" {
		query.AccessibleName = name
	}
	// A shadow root has no tree of its own: names are those of the whole document.
	object, err := t.object(ctx, "(frame) => postern.scope(frame)", frame)
	if err != nil || object == "" {
		return nowhere, err
	}
	query.ObjectID = object
	tree, err := cdp.Call(ctx, t.target, accessibility.QueryAXTree, query)
	if err != nil {
		return nowhere, t.fault(ctx, err)
	}
	t.mutex.Lock()
	inside := t.inside
	t.mutex.Unlock()
	for _, node := range tree.Nodes {
		if node.Ignored || node.BackendDOMNodeID == 0 {
			continue
		}
		resolved, err := cdp.Call(ctx, t.target, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node.BackendDOMNodeID, ExecutionContextID: inside})
		if err != nil || resolved.Object == nil {
			continue // of a frame that has a world of its own; another selector finds it
		}
		adopted, err := cdp.Call(ctx, t.target, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
			FunctionDeclaration: fmt.Sprintf("function () { return postern.adopt(this, %d, %t) }", host, last), ObjectID: resolved.Object.ObjectID,
			ReturnByValue: new(true), Silent: new(true),
		})
		if err != nil {
			return nowhere, t.fault(ctx, err)
		}
		found := nowhere
		if adopted.ExceptionDetails == nil && json.Unmarshal(adopted.Result.Value, &found) == nil && found != nowhere {
			return found, nil
		}
	}
	return nowhere, nil
}

// object is what a function returns in the isolated world, as the browser's own commands take it; empty if nothing.
func (t *tab) object(ctx context.Context, function string, arguments ...any) (runtime.RemoteObjectID, error) {
	world, arguments := t.route(arguments)
	if world == "" {
		return "", errMoving
	}
	parameters := runtime.CallFunctionOnParams{FunctionDeclaration: function, UniqueContextID: world, Silent: new(true)}
	for _, argument := range arguments {
		encoded, err := json.Marshal(argument)
		if err != nil {
			return "", err
		}
		parameters.Arguments = append(parameters.Arguments, &runtime.CallArgument{Value: encoded})
	}
	result, err := cdp.Call(ctx, t.target, runtime.CallFunctionOn, parameters)
	if err != nil {
		return "", t.fault(ctx, err)
	}
	if result.ExceptionDetails != nil {
		return "", errMoving
	}
	return result.Result.ObjectID, nil
}

// document is the name of the document now shown: numbers of elements are good in one only.
func (t *tab) document() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.world
}
