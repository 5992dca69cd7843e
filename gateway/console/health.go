package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/health"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/gateway/problem"
)

var checkOutcomes = map[rotation.Outcome]badge{
	rotation.Accepted:     {Word: "Accepted", Tone: "good", Hint: "The app let the stored password in"},
	rotation.Rejected:     {Word: "Refused", Tone: "bad", Hint: "The app said that the password is wrong"},
	rotation.MustChange:   {Word: "Expired", Tone: "bad", Hint: "The app wants the password changed before anything else"},
	rotation.Disabled:     {Word: "Disabled", Tone: "bad", Hint: "The app says that the login is disabled"},
	rotation.Locked:       {Word: "Locked", Tone: "bad", Hint: "The app says that the login is locked"},
	rotation.Challenge:    {Word: "A person is asked for", Tone: "warn", Hint: "The app asks something only a person can answer"},
	rotation.FormNotFound: {Word: "No form", Tone: "warn", Hint: "The page has no form to sign in with"},
	rotation.Unreachable:  {Word: "Unreachable", Tone: "warn", Hint: "The app is down, or its address leads nowhere"},
	rotation.TimedOut:     {Word: "No answer", Tone: "warn", Hint: "The app did not answer in time"},
	rotation.Unknown:      {Word: "Not understood", Tone: "warn", Hint: "The app's answer made no sense"},
	rotation.NotSent:      {Word: "Not tried", Tone: "warn", Hint: "Nothing here can talk to the app"},
	health.Superseded:     {Word: "Not needed", Tone: "calm", Hint: "Something else told meanwhile"},
}

// checkReasons say why a check was made.
var checkReasons = map[health.Reason]string{
	health.Scheduled: "on schedule", health.Asked: "on request", health.Resync: "to find out which password the app has",
	health.Given: "to prove a password that was stored", health.Managed: "to manage the account again", health.Confirmed: "to make sure of a refusal",
	health.Created: "because the account is new", health.Reactivated: "because somebody is back who had it", health.GivenBack: "because it was given back to somebody",
	health.RotationStuck: "because a rotation is stuck", health.OwnerChanged: "because an owner changed", health.AdminChanged: "because an administrator changed",
	health.ReportedFaulty: "because two people could not sign in",
}

// offers reports whether a step is offered for an account's health.
func offers(advice accounts.Advice, step string) bool {
	for _, one := range advice.Steps {
		if string(one) == step {
			return true
		}
	}
	return false
}

// check has the stored password tried.
func (s *Service) check(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Health.Check(ctx, tx, s.cause(c), by.workspace(), account, false)
		return err
	})
}

// resync has the other stored passwords tried too.
func (s *Service) resync(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Health.Check(ctx, tx, s.cause(c), by.workspace(), account, true)
		return err
	})
}

// reset has the app's administrator set a new password.
func (s *Service) reset(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Health.Reset(ctx, tx, s.cause(c), by.workspace(), account)
		return err
	})
}

// storePassword keeps the password that was set outside, until a sign-in has proved it.
func (s *Service) storePassword(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	password := seal.NewSecret(c.PostForm("password"))
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Health.Give(ctx, tx, s.cause(c), by.workspace(), account, password)
		return err
	})
}

// manage takes an account under management again.
func (s *Service) manage(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Health.TakeBack(ctx, tx, s.cause(c), by.workspace(), account)
		return err
	})
}

// unmanage takes an account out of management.
func (s *Service) unmanage(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Health.Release(ctx, tx, s.cause(c), by.workspace(), account, c.PostForm("reason"))
		return err
	})
}

// reportFill notes that the password did not work for the reader.
func (s *Service) reportFill(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		return s.Health.Report(ctx, tx, s.cause(c), by.workspace(), by.user.ID, account)
	})
}

// healthSettingsPage is how often passwords are checked, in what a form shows.
type healthSettingsPage struct {
	Hours, Days int
	Problem     string
	Reset       bool // what is out of sync, by itself
	Quiet       bool
}

func (s *Service) showHealthSettings(c *gin.Context) { s.healthSettings(c, http.StatusOK, "") }

func (s *Service) healthSettings(c *gin.Context, status int, refusal string) {
	if !s.administrator(c) {
		return
	}
	now, err := s.Health.Settings(c.Request.Context(), s.DB, s.reader(c).workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, status, "health-settings", "Password checks", "accounts", healthSettingsPage{
		int(now.Interval / time.Hour), int(now.Retention / (24 * time.Hour)), refusal, now.ResetDesynced, now.Quiet,
	})
}

func (s *Service) changeHealthSettings(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	var numbers [2]int
	for i, field := range []string{"hours", "days"} {
		number, err := strconv.Atoi(strings.TrimSpace(c.PostForm(field)))
		if err != nil || number < 0 || number > 100_000 {
			s.healthSettings(c, http.StatusBadRequest, "these are whole numbers")
			return
		}
		numbers[i] = number
	}
	ctx := c.Request.Context()
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		return s.Health.SetSettings(ctx, tx, s.cause(c), s.reader(c).workspace(), health.Settings{
			Interval: time.Duration(numbers[0]) * time.Hour, Retention: time.Duration(numbers[1]) * 24 * time.Hour, ResetDesynced: c.PostForm("reset") != "",
			Quiet: c.PostForm("quiet") != "",
		})
	})
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, "/settings/health")
		return
	}
	if classified := problem.Classify(err); classified.Kind == core.KindInvalid {
		_ = c.Error(err)
		s.healthSettings(c, http.StatusBadRequest, classified.Message)
		return
	}
	s.refuse(c, err)
}
