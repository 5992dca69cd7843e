package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/core"
	"postern/core/reviews"
	"postern/gateway/api"
)

type reviewCommands struct {
	List      listReviews         `cmd:"" help:"List access reviews, latest first."`
	Show      showReview          `cmd:"" help:"Show how far a review is, or print its signed evidence."`
	Items     listReviewItems     `cmd:"" help:"List what a review asks about, whom, and what was decided."`
	Decide    decideReviewItems   `cmd:"" help:"Decide about items of a review."`
	Reassign  reassignReviewItems `cmd:"" help:"Have somebody else decide."`
	Cancel    cancelReview        `cmd:"" help:"End a review before its time: what is not decided is left as it is."`
	Campaigns listCampaigns       `cmd:"" help:"List what is asked again and again."`
	Create    createCampaign      `cmd:"" help:"Add a campaign. Nobody is asked before it begins."`
	Preview   previewReview       `cmd:"" help:"List what a review would ask, and whom. Nothing is changed by it."`
	Start     startCampaign       `cmd:"" help:"Begin a review of a campaign now."`
	Remove    removeCampaign      `cmd:"" help:"Remove a campaign. Its reviews stay, and go on."`
	Settings  reviewSettings      `cmd:"" help:"Show or change which small reviews begin by themselves."`
	Verify    verifyReview        `cmd:"" help:"Verify a review's evidence from a file, offline."`
}

func (s sheet) review(one api.Review) {
	s.say("%s: %s, %d of %d items decided", visible(one.Name), one.State, one.Kept+one.Revoked+one.Changed+one.Ended, one.Items)
	s.row("id", one.ID.String())
	s.row("began (UTC)", utc(&one.Started))
	s.row("last day (UTC)", one.Due.AddDate(0, 0, -1).UTC().Format(time.DateOnly))
	s.row("where nobody decides", one.Fallback)
	s.say("  %d kept, %d revoked, %d narrowed, %d had ended; %d by default, %d could not be done", one.Kept, one.Revoked, one.Changed, one.Ended, one.Defaulted, one.Failed)
	if one.Cancelled != nil {
		s.say("  Cancelled: %s", visible(*one.Cancelled))
	}
	switch {
	case one.Number > 0 && one.Complete:
		s.say("  Signed (issue %d): everything that was decided is done.", one.Number)
	case one.Number > 0:
		s.say("  Signed (issue %d): something is not done.", one.Number)
	}
}

type listReviews struct {
	remote `embed:""`
	State  string `help:"Only open, closing or closed ones." enum:",open,closing,closed" default:"" placeholder:"STATE"`
	Limit  int    `help:"At most so many; 0 is all." default:"50" placeholder:"N"`
}

// Run asks the gateway.
func (l listReviews) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{}
	if l.State != "" {
		query.Set("state", l.State)
	}
	return rows(terminal, l.remote, c.pages(ctx, "/reviews", query, l.Limit),
		column[api.Review]{"REVIEW", func(one api.Review) string { return one.ID.String() }},
		column[api.Review]{"STATE", func(one api.Review) string { return one.State }},
		column[api.Review]{"LAST DAY", func(one api.Review) string { return one.Due.AddDate(0, 0, -1).UTC().Format(time.DateOnly) }},
		column[api.Review]{"DECIDED", func(one api.Review) string {
			return fmt.Sprintf("%d/%d", one.Kept+one.Revoked+one.Changed+one.Ended, one.Items)
		}},
		column[api.Review]{"NAME", func(one api.Review) string { return one.Name }})
}

// oneReview is part of every command about one review.
type oneReview struct {
	remote `embed:""`
	Review string `arg:"" help:"Id of the review."`
}

func (o oneReview) find() (*apiClient, string, error) {
	path, err := pathOf("/reviews/", o.Review)
	if err != nil {
		return nil, "", err
	}
	c, err := o.connect()
	return c, path, err
}

type showReview struct {
	oneReview `embed:""`
	Signed    bool `help:"Print the signed evidence, to be saved and verified."`
	Number    int  `help:"With --signed: which issue; the latest when left out."`
}

// Help is shown by 'postern review show --help'.
func (showReview) Help() string {
	return `To hand the evidence of a review to an auditor:

  postern review show ID --signed > review.json
  postern review verify review.json`
}

// Run asks the gateway.
func (s showReview) Run(ctx context.Context, terminal terminal) error {
	c, path, err := s.find()
	if err != nil {
		return err
	}
	if !s.Signed {
		text, err := c.ask(ctx, http.MethodGet, path, nil, nil)
		if err != nil {
			return err
		}
		return thing(terminal, s.remote, text, sheet.review)
	}
	query := url.Values{}
	if s.Number > 0 {
		query.Set("number", fmt.Sprint(s.Number))
	}
	text, err := c.ask(ctx, http.MethodGet, path+"/document", query, nil)
	if err == nil {
		_, err = fmt.Fprintln(terminal.out, strings.TrimSpace(string(text)))
	}
	return err
}

type listReviewItems struct {
	oneReview `embed:""`
	Undecided bool `help:"Only what nobody has decided."`
	Limit     int  `help:"At most so many; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listReviewItems) Run(ctx context.Context, terminal terminal) error {
	c, path, err := l.find()
	if err != nil {
		return err
	}
	query := url.Values{}
	if l.Undecided {
		query.Set("undecided", "true")
	}
	return rows(terminal, l.remote, c.pages(ctx, path+"/items", query, l.Limit),
		column[api.ReviewItem]{"ITEM", func(one api.ReviewItem) string { return one.ID.String() }},
		column[api.ReviewItem]{"ACCOUNT", func(one api.ReviewItem) string { return one.AppName + " (" + one.Username + ")" }},
		column[api.ReviewItem]{"WHO", func(one api.ReviewItem) string { return one.Subject }},
		column[api.ReviewItem]{"ROLE", func(one api.ReviewItem) string { return one.Role }},
		column[api.ReviewItem]{"LAST USED (UTC)", func(one api.ReviewItem) string { return utc(one.LastUsed) }},
		column[api.ReviewItem]{"REVIEWER", func(one api.ReviewItem) string { return dash(one.ReviewerName) }},
		column[api.ReviewItem]{"DECISION", func(one api.ReviewItem) string {
			said := dash(one.Decision)
			if one.Defaulted {
				said += " by default"
			}
			if one.Failure != "" {
				said += ": " + one.Failure
			}
			return said
		}})
}

type decideReviewItems struct {
	oneReview `embed:""`
	Decision  string   `arg:"" help:"keep, revoke or change; a change narrows." enum:"keep,revoke,change"`
	Items     []string `arg:"" help:"Ids of the items, up to 200."`
	Reason    string   `help:"Why." required:""`
	Role      string   `help:"With change: the weaker role." enum:",collaborator" default:""`
	Expires   string   `help:"With change: when the access ends, as 2027-01-31 or 2027-01-31T12:00:00Z." placeholder:"TIME"`
}

// Run asks the gateway.
func (d decideReviewItems) Run(ctx context.Context, terminal terminal) error {
	c, path, err := d.find()
	if err != nil {
		return err
	}
	var expires *time.Time
	if d.Expires != "" {
		at, err := time.Parse(time.RFC3339, d.Expires)
		if err != nil {
			if at, err = time.Parse(time.DateOnly, d.Expires); err != nil {
				return core.Invalid("--expires", "a time is written as 2027-01-31 or 2027-01-31T12:00:00Z")
			}
		}
		expires = &at
	}
	var all []api.ReviewDecision
	for _, text := range d.Items {
		item, err := core.ParseID(text)
		if err != nil {
			return core.Invalid("items", "an item is named by its id")
		}
		all = append(all, api.ReviewDecision{Item: item, Decision: d.Decision, Role: d.Role, Expires: expires, Reason: d.Reason})
	}
	text, err := c.ask(ctx, http.MethodPost, path+"/decisions", nil, map[string]any{"decisions": all})
	if err != nil {
		return err
	}
	var answer struct {
		Items []api.ReviewResult `json:"items"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return core.Internal(err)
	}
	refused := 0
	for _, one := range answer.Items {
		if one.Refused != nil {
			refused++
		}
	}
	err = thing(terminal, d.remote, text, func(sheet sheet, _ json.RawMessage) {
		for _, one := range answer.Items {
			if one.Refused != nil {
				sheet.say("%s  refused: %s", one.Item, visible(one.Refused.Detail))
				continue
			}
			sheet.say("%s  %s", one.Item, one.Decision)
		}
	})
	if err == nil && refused > 0 {
		err = core.Conflict("items", "%s refused", core.Count(refused, "decision was", "decisions were"))
	}
	return err
}

type reassignReviewItems struct {
	oneReview `embed:""`
	To        string   `help:"User who is to decide: user name, e-mail address or id." required:"" placeholder:"USER"`
	From      string   `help:"All open items of this reviewer." placeholder:"USER" xor:"which"`
	Item      []string `help:"These items." placeholder:"ID" xor:"which"`
}

// Run asks the gateway.
func (r reassignReviewItems) Run(ctx context.Context, terminal terminal) error {
	c, path, err := r.find()
	if err != nil {
		return err
	}
	to, err := c.user(ctx, r.To)
	if err != nil {
		return err
	}
	body := map[string]any{"to": to.ID}
	if r.From != "" {
		from, err := c.user(ctx, r.From)
		if err != nil {
			return err
		}
		body["from"] = from.ID
	} else {
		body["items"] = r.Item
	}
	text, err := c.ask(ctx, http.MethodPost, path+"/reassign", nil, body)
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, func(sheet sheet, moved api.ReviewMoved) {
		sheet.say("%s decides about %s now.", visible(to.UserName), core.Count(moved.Items, "item", "items"))
	})
}

type cancelReview struct {
	oneReview `embed:""`
	Reason    string `help:"Why." required:""`
}

// Run asks the gateway.
func (r cancelReview) Run(ctx context.Context, terminal terminal) error {
	c, path, err := r.find()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, path+"/cancel", nil, map[string]string{"reason": r.Reason})
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, sheet.review)
}

// verifyReview believes nothing but the signature.
type verifyReview struct {
	signedFile `embed:""`
}

// Help is shown by 'postern review verify --help'.
func (verifyReview) Help() string {
	return `Needs no gateway and, with the keys in a file, no network:

  curl -o keys.json https://postern.example/jwks/WORKSPACE-ID/all
  postern review verify review.json --keys keys.json

Exit code 0: genuine, and everything that was decided is done. 7: genuine, and something is not done. 3: not genuine.`
}

// Run needs nobody.
func (v verifyReview) Run(ctx context.Context, terminal terminal) error {
	text, err := v.read()
	if err != nil {
		return err
	}
	document, err := reviews.Read(text)
	if err != nil {
		return err
	}
	keys, err := v.trusted(ctx, document.Keys)
	if err != nil {
		return err
	}
	said, key, err := document.Verify(keys)
	if err != nil {
		return err
	}
	remaining := said.Count(reviews.Failed) + said.Count(reviews.Rotating)
	err = v.genuine(terminal, "review", key, map[string]any{"open": remaining, "review": said}, func(sheet sheet) {
		sheet.say("Review %s (%s), issue %d of %s.", visible(said.Name), said.ID, said.Number, said.Issued.Format(time.RFC3339))
		if said.Supersedes != "" {
			sheet.say("It supersedes the issue with the digest %s.", said.Supersedes)
		}
		if said.Cancelled != "" {
			sheet.say("Cancelled: %s", visible(said.Cancelled))
		}
		sheet.say("Begun by %s on %s; where nobody decided until the end of %s: %s.", visible(said.StartedBy.Name), said.Started.Format(time.DateOnly), said.Due.AddDate(0, 0, -1).Format(time.DateOnly), said.Fallback)
		sheet.say("%s: %d kept, %d revoked, %d narrowed, %d had ended.", core.Count(len(said.Items), "item", "items"),
			said.Decided(reviews.Keep), said.Decided(reviews.Revoke), said.Decided(reviews.Change), said.Decided(reviews.Ended))
		for _, one := range said.Items {
			if one.Followed == reviews.Failed || one.Followed == reviews.Rotating {
				sheet.say("  %-9s  %s (%s) of %s: %s", one.Followed, visible(one.App), visible(one.Username), visible(one.Subject.Name), visible(one.Why))
			}
		}
	})
	if err == nil && remaining > 0 {
		err = open(core.Count(remaining, "decision is", "decisions are") + " not done")
	}
	return err
}
