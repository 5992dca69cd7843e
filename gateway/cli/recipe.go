package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"os"

	"postern/connectors/recipe"
	"postern/core"
	"postern/core/seal"
	"postern/gateway/api"
)

type recipeCommands struct {
	Import importRecipe `cmd:"" help:"Have an app signed in to, and its passwords changed, as Chrome's Recorder recorded it."`
	Check  checkRecipe  `cmd:"" help:"Say what a recording would become, without keeping it."`
	Show   showRecipe   `cmd:"" help:"Show the steps of an app's recipe."`
	Export exportRecipe `cmd:"" help:"Write an app's recipe, or the way its last dry run found, as a file that Chrome's Recorder opens."`
	Remove removeRecipe `cmd:"" help:"Have an app's forms detected again."`
}

// recorded is a recording and what was typed in it. The passwords do not leave this machine.
type recorded struct {
	File            string `arg:"" help:"The recording, exported from Chrome's Recorder as JSON; - is standard input." placeholder:"FILE"`
	Username        string `help:"The username that was typed." placeholder:"NAME"`
	PasswordFile    string `help:"File that holds the password that was typed to sign in, in one line." placeholder:"PATH"`
	NewPasswordFile string `help:"File that holds the new password that was typed, in one line." placeholder:"PATH"`
	Keep            []int  `help:"Number of a step that types a text which is no secret, such as a company's name." placeholder:"N"`
	ChangeFrom      int    `help:"Number of the step the change begins with. Default: what follows the sign-in." placeholder:"N"`
}

func (r recorded) made(domains []string) (*recipe.Recipe, []string, error) {
	file, err := readGiven("FILE", r.File, recipe.MaxFile)
	if err != nil {
		return nil, nil, err
	}
	given := recipe.Given{Username: r.Username, Domains: domains, Keep: r.Keep, ChangeFrom: r.ChangeFrom}
	for _, one := range []struct {
		flag, path string
		into       *seal.Secret
	}{{"--password-file", r.PasswordFile, &given.Password}, {"--new-password-file", r.NewPasswordFile, &given.New}} {
		if one.path == "" {
			continue
		}
		if *one.into, err = readLine(one.flag, one.path); err != nil {
			return nil, nil, err
		}
	}
	return recipe.Import(file, given)
}

type importRecipe struct {
	remote   `embed:""`
	recorded `embed:""`
	App      string `name:"app" help:"Name or id of the app." required:"" placeholder:"NAME"`
}

// Help is shown by 'postern recipe import --help'.
func (importRecipe) Help() string {
	return `  postern recipe import recording.json --app Wiki --username test --password-file old --new-password-file new

The passwords are those that were typed while recording: they are taken out of the recording here, on this machine,
and are not sent. A recording that would keep one is refused with the number of the step. How to record is in
connectors/README.md.`
}

// Run asks the gateway.
func (i importRecipe) Run(ctx context.Context, terminal terminal) error {
	c, err := i.connect()
	if err != nil {
		return err
	}
	app, err := c.oneApp(ctx, i.App)
	if err != nil {
		return err
	}
	made, notes, err := i.made(app.Domains)
	if err != nil {
		return err
	}
	recording, err := made.Encode()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPut, "/apps/"+app.ID.String()+"/recipe", nil, map[string]json.RawMessage{"recording": recording})
	if err != nil {
		return err
	}
	return thing(terminal, i.remote, text, func(sheet sheet, one api.Recipe) {
		one.Notes = notes
		sheet.recipe(one)
	})
}

// oneApp is an app by id or name.
func (c *apiClient) oneApp(ctx context.Context, given string) (app api.App, err error) {
	id, err := c.app(ctx, given)
	if err != nil {
		return app, err
	}
	text, err := c.ask(ctx, http.MethodGet, "/apps/"+id.String(), nil, nil)
	if err != nil {
		return app, err
	}
	return app, json.Unmarshal(text, &app)
}

type checkRecipe struct {
	recorded `embed:""`
	Domains  []string `help:"The app's domains. Default: any." placeholder:"HOST"`
	Encoded  bool     `help:"Print the recording as it would be kept."`
}

// Run asks nobody.
func (r checkRecipe) Run(terminal terminal) error {
	made, notes, err := r.made(r.Domains)
	if err != nil {
		return err
	}
	if r.Encoded {
		text, err := made.Encode()
		if err != nil {
			return err
		}
		_, err = terminal.out.Write(text)
		return err
	}
	sheet{terminal.out}.recipe(api.Recipe{SignIn: recipe.Words(made.SignIn()), Change: recipe.Words(made.Change()), Notes: notes})
	return nil
}

type ofApp struct {
	remote `embed:""`
	App    string `arg:"" help:"Name or id of the app."`
}

func (o ofApp) ask(ctx context.Context, method, part string, body any) (json.RawMessage, error) {
	c, err := o.connect()
	if err != nil {
		return nil, err
	}
	id, err := c.app(ctx, o.App)
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, method, "/apps/"+id.String()+part, nil, body)
}

type showRecipe struct {
	ofApp `embed:""`
}

// Run asks the gateway.
func (s showRecipe) Run(ctx context.Context, terminal terminal) error {
	text, err := s.ask(ctx, http.MethodGet, "/recipe", nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.recipe)
}

func (s sheet) recipe(one api.Recipe) {
	number := 0
	for _, part := range []struct {
		title, without string
		steps          []string
	}{{"Signs in:", "Signs in by the form that is detected.", one.SignIn}, {"Changes the password:", "Changes the password by the form that is detected.", one.Change}} {
		if len(part.steps) == 0 {
			s.say("%s", part.without)
			continue
		}
		s.say("%s", part.title)
		for _, step := range part.steps {
			number++
			s.say("%4d  %s", number, visible(step))
		}
	}
	for _, note := range one.Notes {
		s.say("Note: in the recording, %s.", visible(note))
	}
}

type exportRecipe struct {
	ofApp `embed:""`
	File  string `help:"File to write. Default: standard output." placeholder:"PATH"`
}

// Run asks the gateway.
func (e exportRecipe) Run(ctx context.Context, terminal terminal) error {
	made, err := e.made(ctx)
	if err != nil {
		return err
	}
	file, err := made.Encode()
	if err != nil {
		return err
	}
	if e.File == "" {
		_, err := terminal.out.Write(file)
		return err
	}
	if err := os.WriteFile(e.File, file, 0o600); err != nil {
		return core.Invalid("--file", "the file cannot be written").Because(err)
	}
	return nil
}

// made is the app's recipe, or the way its last dry run found without one.
func (e exportRecipe) made(ctx context.Context) (*recipe.Recipe, error) {
	text, err := e.ask(ctx, http.MethodGet, "/recipe", nil)
	if err == nil {
		var one api.Recipe
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, core.Internal(err)
		}
		made, _, err := recipe.Import(one.Recording, recipe.Given{})
		return made, err
	}
	if core.KindOf(err) != core.KindNotFound {
		return nil, err
	}
	last, absent := e.ask(ctx, http.MethodGet, "/dry-run", nil)
	if absent != nil {
		return nil, err
	}
	var one struct {
		Model struct {
			Recipe *recipe.Recipe `json:"recipe"`
		} `json:"model"`
	}
	if json.Unmarshal(last, &one) != nil || one.Model.Recipe == nil {
		return nil, err
	}
	return one.Model.Recipe, nil
}

type removeRecipe struct {
	ofApp `embed:""`
}

// Run asks the gateway.
func (r removeRecipe) Run(ctx context.Context, terminal terminal) error {
	if _, err := r.ask(ctx, http.MethodDelete, "/recipe", nil); err != nil {
		return err
	}
	return thing(terminal, r.remote, json.RawMessage(`{"removed":true}`), func(sheet sheet, _ struct{}) {
		sheet.say("The forms of %s are detected again.", visible(r.App))
	})
}
