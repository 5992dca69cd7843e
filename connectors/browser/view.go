package browser

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"postern/connectors/recipe"
	"postern/core/seal"
)

// lookOptions say what page.js should look for beyond the forms.
type lookOptions struct {
	SignIn map[string]string `json:"signIn,omitempty"` // selectors of the settings
	Change map[string]string `json:"change,omitempty"`
	Texts  []string          `json:"texts,omitempty"` // which of these does the page show?
	Lines  bool              `json:"lines,omitempty"` // the text of the page, line by line
	Early  bool              `json:"early,omitempty"` // look also while the page still loads
	Half   bool              `json:"half,omitempty"`  // and at what has come of a page that does not go on
	Ways   bool              `json:"ways,omitempty"`  // buttons and links that lead to a new-password field
}

// view is what page.js sees: kinds and evidence, never what is typed in.
type view struct {
	Ready   string   `json:"ready"`
	Same    bool     `json:"same"`    // still the document a button was pressed in
	Scripts int      `json:"scripts"` // script elements
	Size    int      `json:"size"`    // how many elements were searched
	Address string   `json:"address"` // without query and fragment
	Forms   []form   `json:"forms"`
	Out     bool     `json:"out"` // there is a way to sign out
	Captcha bool     `json:"captcha"`
	Errors  []string `json:"errors"`
	Notices []string `json:"notices"`
	Lines   []string `json:"lines"`
	Reveal  []int    `json:"reveal"`
	Links   []int    `json:"links"`
	Present []string `json:"present"`

	Status  int64 `json:"-"` // HTTP status of the document
	Pending bool  `json:"-"` // a new document was asked for and has not begun to come
	// Fetching: a script was asked for and has not come.
	Fetching bool `json:"-"`
}

// form is one form, or what serves as one.
type form struct {
	Kind    string   `json:"kind"` // sign-in, username, password, change, code, danger, other
	Fields  []field  `json:"fields"`
	Others  []field  `json:"others"` // nothing goes into
	Hidden  []string `json:"hidden"` // names of hidden new-password fields
	Captcha bool     `json:"captcha"`
	Submit  *button  `json:"submit"`
	Frame   string   `json:"-"` // address of the frame of another site it is in
}

type field struct {
	Ref      int    `json:"ref"`
	Kind     string `json:"kind"` // username, current, new, confirm, code, captcha
	Name     string `json:"name"`
	Type     string `json:"type"`
	Limit    int    `json:"limit"` // maxlength, or 0
	Least    int    `json:"least"` // minlength, or 0
	Pattern  string `json:"pattern"`
	Rules    string `json:"rules"` // passwordrules
	Evidence string `json:"evidence"`
}

type button struct {
	Ref   int    `json:"ref"`
	Label string `json:"label"`
}

// form returns the best form of a kind: the one with the most fields of it.
func (v view) form(kind string) *form {
	var best *form
	for i := range v.Forms {
		if f := &v.Forms[i]; f.Kind == kind && (best == nil || len(f.Fields) > len(best.Fields) && !best.given()) {
			best = f
		}
	}
	return best
}

// given reports whether the settings named the form's fields.
func (f *form) given() bool { return len(f.Fields) > 0 && f.Fields[0].Evidence == "setting" }

func (f *form) field(kind string) *field {
	if f == nil {
		return nil
	}
	for i := range f.Fields {
		if f.Fields[i].Kind == kind {
			return &f.Fields[i]
		}
	}
	return nil
}

// loaded reports whether a page is as ready as it needs to be: one without scripts once it has been
// parsed, any other when it has loaded.
func (v view) loaded() bool {
	return v.Ready == "complete" || v.Ready == "interactive" && v.Scripts == 0
}

// pageModel is the picture of a page that a report keeps. recipe.Compare reads it.
type pageModel struct {
	Address    string             `json:"address"`
	Status     int64              `json:"status,omitempty"`
	Forms      []modelForm        `json:"forms"`
	SignOut    bool               `json:"sign_out"`
	Captcha    bool               `json:"captcha,omitempty"`
	Errors     []string           `json:"errors,omitempty"`
	Notices    []string           `json:"notices,omitempty"`
	Refused    []string           `json:"refused_hosts,omitempty"`
	Before     []pageModel        `json:"before,omitempty"`     // the pages on the way to this one
	Recipe     *recipe.Recipe     `json:"recipe,omitempty"`     // the way that was found
	Difference *recipe.Difference `json:"difference,omitempty"` // since the page was last as it should be
}

type modelForm struct {
	Kind    string       `json:"kind"`
	Frame   string       `json:"frame,omitempty"` // where it is from, if that is another site than the page's
	Fields  []modelField `json:"fields"`
	Submit  string       `json:"submit,omitempty"`
	Captcha bool         `json:"captcha,omitempty"`
}

type modelField struct {
	Kind     string `json:"kind"`
	Type     string `json:"type"`
	Name     string `json:"name,omitempty"`
	Evidence string `json:"evidence"`
}

func (v view) model(hide redactor) pageModel {
	page := pageModel{
		Address: hide.text(v.Address), Status: v.Status, SignOut: v.Out, Captcha: v.Captcha, Errors: hide.texts(v.Errors), Notices: hide.texts(v.Notices), Forms: []modelForm{},
	}
	for _, f := range v.Forms {
		shown := modelForm{Kind: f.Kind, Frame: hide.text(f.Frame), Captcha: f.Captcha, Fields: []modelField{}}
		if f.Submit != nil {
			shown.Submit = hide.text(f.Submit.Label)
		}
		for _, one := range slices.Concat(f.Fields, f.Others) {
			shown.Fields = append(shown.Fields, modelField{one.Kind, one.Type, hide.text(one.Name), one.Evidence})
		}
		page.Forms = append(page.Forms, shown)
	}
	return page
}

// encoded is the model as a report has it.
func (m pageModel) encoded() json.RawMessage {
	text, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return text
}

// redactor takes secrets out of the texts of a page, since pages repeat what was typed in.
type redactor struct{ replacer *strings.Replacer }

func newRedactor(secrets []seal.Secret) redactor {
	var pairs []string
	for _, secret := range secrets {
		for _, spelling := range spellings(secret) {
			pairs = append(pairs, spelling, "[redacted]")
			if bare := strings.Map(shown, spelling); bare != spelling && bare != "" {
				pairs = append(pairs, bare, "[redacted]")
			}
		}
	}
	return redactor{strings.NewReplacer(pairs...)}
}

// both returns the texts and, where they hold a secret, their redacted forms as well. Words are looked
// for in both: a secret a page repeats must not stand between them, nor one that is a word itself
// take the word away. What is shown of them goes through text.
func (r redactor) both(texts []string) []string {
	for _, text := range texts {
		if redacted := r.replacer.Replace(text); redacted != text {
			texts = append(texts, redacted)
		}
	}
	return texts
}

// text redacts first and cuts afterwards, so that no half of a secret is left. What is not seen, and may stand within a
// secret or tell a terminal to do something, goes before.
func (r redactor) text(text string) string {
	text = r.replacer.Replace(strings.Map(shown, text))
	if runes := []rune(text); len(runes) > 240 {
		text = string(runes[:240]) + "…"
	}
	return text
}

// shown drops the characters that show nothing of themselves: controls, and what joins, hides or turns others.
func shown(r rune) rune {
	if unicode.IsSpace(r) {
		return ' '
	}
	if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
		return -1
	}
	return r
}

func (r redactor) texts(texts []string) []string {
	var list []string
	for _, text := range texts {
		list = append(list, r.text(text))
	}
	return list
}
