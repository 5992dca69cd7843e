package console

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/importing"
	"postern/gateway/problem"
)

// ImportsPath is where files come in, which are larger than other forms.
const ImportsPath = "/imports"

// uploadRoom is what a form with a file has besides the file.
const uploadRoom = 64 << 10

// importsPage is the files somebody imported, and the form for another.
type importsPage struct {
	Imports []importing.Import
	Formats []formatName
	Admin   bool
	Problem string
	Older   core.ID
}

// formatName is a format as people know it.
type formatName struct {
	Format importing.Format
	Name   string
}

var formatNames = []formatName{
	{importing.OnePassword, "1Password (1PUX)"}, {importing.OnePasswordC, "1Password (CSV)"}, {importing.Bitwarden, "Bitwarden (JSON)"},
	{importing.BitwardenCSV, "Bitwarden (CSV)"}, {importing.LastPass, "LastPass (CSV)"}, {importing.CSV, "Another CSV, with columns for address, username and password"},
}

// importPage is one import: what it would do, does or did.
type importPage struct {
	importing.Import
	Outcomes []outcomeCount
	Chosen   importing.Outcome
	Lines    []importing.Row
	Next     int
	Adds     int // rows that add something
	Name     string
}

type outcomeCount struct {
	Outcome importing.Outcome
	Number  int
}

var importOutcomes = map[importing.Outcome]badge{
	importing.Create:        {Word: "Will be added", Tone: "busy", Hint: "An account in an app that is there"},
	importing.CreateWithApp: {Word: "Will be added with its app", Tone: "busy", Hint: "No app is at this site yet"},
	importing.Created:       {Word: "Added", Tone: "good", Hint: "A sign-in proves its password"},
	importing.Duplicate:     {Word: "There already", Tone: "calm", Hint: "It is not touched"},
	importing.Skipped:       {Word: "Skipped", Tone: "warn", Hint: "It cannot be an account"},
	importing.Refused:       {Word: "Refused", Tone: "bad", Hint: "A rule says no"},
}

var importStates = map[importing.State]badge{
	importing.Planned: {Word: "Waits for you", Tone: "warn", Hint: "Nothing is added yet"},
	importing.Running: {Word: "Under way", Tone: "busy", Hint: "A worker adds the accounts one by one"},
	importing.Done:    {Word: "Done", Tone: "good", Hint: "Every row is settled"},
	importing.Dropped: {Word: "Dropped", Tone: "calm", Hint: "Nothing was added, and its passwords are erased"},
}

func nameOfFormat(format importing.Format) string {
	for _, one := range formatNames {
		if one.Format == format {
			return one.Name
		}
	}
	return string(format)
}

func (s *Service) mountImports(inside gin.IRouter) {
	inside.GET(ImportsPath, s.listImports)
	inside.POST(ImportsPath, s.forAdministrators(ImportsPath), s.createImport)
	inside.GET(ImportsPath+"/:id", s.showImport)
	inside.POST(ImportsPath+"/:id/commit", s.forAdministrators(ImportsPath+"/:id"), s.commitImport)
	inside.POST(ImportsPath+"/:id/drop", s.dropImport)
}

func (s *Service) listImports(c *gin.Context) { s.imports(c, http.StatusOK, "") }

// imports shows the form, with what was wrong about it.
func (s *Service) imports(c *gin.Context, status int, wrong string) {
	by := s.reader(c)
	before, err := queryID(c, "before")
	if err != nil {
		s.refuse(c, err)
		return
	}
	maker := by.user.ID
	if by.admin() {
		maker = core.ID{}
	}
	found, err := s.Imports.List(c.Request.Context(), s.DB, by.workspace(), maker, before, pageSize)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := importsPage{Imports: found, Formats: formatNames, Admin: by.admin(), Problem: wrong}
	if len(found) == pageSize {
		page.Older = found[len(found)-1].ID
	}
	s.show(c, status, "imports", "Import accounts", "accounts", page)
}

// createImport takes a file, and leads to what it would do.
func (s *Service) createImport(c *gin.Context) {
	by := s.reader(c)
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, importing.MaxFile+uploadRoom)
	wanted, err := s.upload(c, by)
	if err == nil {
		var planned importing.Import
		if planned, err = s.Imports.Plan(c.Request.Context(), s.cause(c), by.workspace(), wanted); err == nil {
			c.Redirect(http.StatusSeeOther, ImportsPath+"/"+planned.ID.String())
			return
		}
	}
	classified := problem.Classify(err)
	switch classified.Kind {
	case core.KindInvalid, core.KindTooLarge, core.KindDenied, core.KindConflict, core.KindNotFound:
		_ = c.Error(err)
		s.imports(c, problem.Status(classified.Kind), classified.Message)
	default:
		s.refuse(c, err)
	}
}

// upload reads the form.
func (s *Service) upload(c *gin.Context, by reader) (importing.New, error) {
	wanted := importing.New{Owner: by.user.ID}
	if c.Request.ContentLength > importing.MaxFile+uploadRoom {
		return wanted, tooLarge()
	}
	part, err := c.FormFile("file")
	if err != nil {
		// What is no form is read to its end, or to where it is too large for one.
		if _, rest := io.Copy(io.Discard, c.Request.Body); rest != nil {
			err = rest
		}
		if problem.Classify(err).Kind == core.KindTooLarge {
			return wanted, tooLarge()
		}
		return wanted, core.Invalid("file", "choose a file")
	}
	from, err := part.Open()
	if err != nil {
		return wanted, core.Invalid("file", "the file did not come whole; send it again")
	}
	defer from.Close()
	defer func() { _ = c.Request.MultipartForm.RemoveAll() }()
	if wanted.File, err = io.ReadAll(from); err != nil {
		return wanted, core.Invalid("file", "the file did not come whole; send it again")
	}
	wanted.Format, wanted.NewApps = importing.Format(c.PostForm("format")), c.PostForm("new_apps") != ""
	if name := strings.TrimSpace(c.PostForm("owner")); by.admin() && name != "" {
		err = s.DB.Tx(c.Request.Context(), func(tx pgx.Tx) error {
			subject, err := s.named(c.Request.Context(), tx, by.workspace(), name)
			if err == nil && subject.User.IsZero() {
				err = core.Invalid("owner", "the owner is a user; share the accounts with teams afterwards")
			}
			wanted.Owner = subject.User
			return err
		})
	}
	return wanted, err
}

func tooLarge() error { return core.TooLarge("a file may have at most %d MiB", importing.MaxFile>>20) }

// mine finds the import of the address, if the reader may see it.
func (s *Service) mine(c *gin.Context) (importing.Import, error) {
	id, err := pathID(c)
	if err != nil {
		return importing.Import{}, err
	}
	by := s.reader(c)
	found, err := s.Imports.Import(c.Request.Context(), s.DB, by.workspace(), id)
	if err == nil && !by.admin() && found.Maker != by.user.ID {
		err = core.NotFound("import")
	}
	return found, err
}

func (s *Service) showImport(c *gin.Context) {
	found, err := s.mine(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := importPage{Import: found, Chosen: importing.Outcome(c.Query("outcome")), Name: nameOfFormat(found.Format)}
	page.Adds = found.Rows[importing.Create] + found.Rows[importing.CreateWithApp]
	for _, outcome := range []importing.Outcome{importing.Create, importing.CreateWithApp, importing.Created, importing.Duplicate, importing.Skipped, importing.Refused} {
		if found.Rows[outcome] > 0 {
			page.Outcomes = append(page.Outcomes, outcomeCount{outcome, found.Rows[outcome]})
		}
	}
	if _, known := importOutcomes[page.Chosen]; !known {
		page.Chosen = ""
	}
	after, err := strconv.Atoi(c.DefaultQuery("after", "0"))
	if err != nil || after < 0 {
		s.refuse(c, core.Invalid("after", "this is not a row"))
		return
	}
	if page.Lines, err = s.Imports.Rows(c.Request.Context(), s.DB, found.Workspace, found.ID, page.Chosen, after, activitySize); err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.Lines) == activitySize {
		page.Next = page.Lines[activitySize-1].Number
	}
	s.show(c, http.StatusOK, "import", "Import", "accounts", page)
}

func (s *Service) commitImport(c *gin.Context) {
	found, err := s.mine(c)
	if err == nil {
		_, err = s.Imports.Commit(c.Request.Context(), s.cause(c), found.Workspace, found.ID)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, ImportsPath+"/"+found.ID.String())
}

func (s *Service) dropImport(c *gin.Context) {
	found, err := s.mine(c)
	if err == nil {
		err = s.Imports.Drop(c.Request.Context(), found.Workspace, found.ID)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, ImportsPath+"/"+found.ID.String())
}
