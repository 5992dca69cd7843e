package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
)

// How it goes to tell others is a matter of figures alone: a destination that is down makes nothing unready.
func TestDeliveriesAreMeasuredByKind(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	before := scrape(t, handler)
	for _, kind := range []string{"receiver", "logout_target", "webhook"} {
		for _, series := range []string{
			`postern_delivery_dead_letters{kind="` + kind + `"}`, `postern_deliveries_queued{kind="` + kind + `",state="running"}`,
			`postern_delivery_destinations{kind="` + kind + `",state="disabled"}`, `postern_delivery_destinations_failing{kind="` + kind + `"}`,
		} {
			if value, there := before[series]; !there || value != 0 {
				t.Errorf("%s is %v (%v)", series, value, there)
			}
		}
	}
	d := &delivery.Deliveries{DB: h.db}
	err := h.db.Tx(t.Context(), func(tx pgx.Tx) error {
		for _, state := range []delivery.State{delivery.Running, delivery.Running, delivery.Disabled} {
			lane := delivery.Lane{ID: core.NewID(), Workspace: h.workspace.ID, Kind: outgoing.Kind, Name: core.NewID().String(), Carried: true}
			if err := d.Open(t.Context(), tx, lane); err != nil {
				return err
			}
			for range 2 {
				if err := d.Add(t.Context(), tx, delivery.Delivery{Workspace: lane.Workspace, Lane: lane.ID, Type: "t", Payload: []byte(`{}`)}); err != nil {
					return err
				}
			}
			waiting, err := d.Waiting(t.Context(), tx, lane.Workspace, lane.ID, 1)
			if err != nil {
				return err
			}
			if state == delivery.Running {
				err = d.Refuse(t.Context(), tx, lane, waiting[0].ID, "no")
			} else {
				err = d.SetState(t.Context(), tx, lane.Workspace, lane.ID, state, "")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // figures are kept that long
	got := scrape(t, handler)
	for series, want := range map[string]float64{
		`postern_source_up{source="deliveries"}`:                             1,
		`postern_delivery_destinations{kind="webhook",state="running"}`:      2,
		`postern_delivery_destinations{kind="webhook",state="disabled"}`:     1,
		`postern_delivery_destinations_failing{kind="webhook"}`:              2,
		`postern_deliveries_queued{kind="webhook",state="running"}`:          2,
		`postern_deliveries_queued{kind="webhook",state="disabled"}`:         2,
		`postern_deliveries_queued{kind="receiver",state="running"}`:         0,
		`postern_delivery_dead_letters{kind="webhook"}`:                      2,
		`postern_deliveries_oldest_seconds{kind="webhook",state="paused"}`:   0,
		`postern_deliveries_oldest_seconds{kind="receiver",state="running"}`: 0,
	} {
		if value, there := got[series]; !there || value != want {
			t.Errorf("%s is %v (%v), want %v", series, value, there, want)
		}
	}
	if oldest := got[`postern_deliveries_oldest_seconds{kind="webhook",state="running"}`]; oldest < 1 || oldest > 600 {
		t.Errorf("the oldest waits %v s", oldest)
	}
	if answer, body := ask(t, handler, "GET", "/readyz", nil); answer.StatusCode != 200 {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	for series := range got {
		if strings.HasPrefix(series, "postern_deliver") && strings.Contains(series, h.workspace.ID.String()) {
			t.Errorf("a customer chooses the series: %s", series)
		}
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	h := build(t, nil)
	meter := h.gateway.DeliveryMeter()
	for _, outcome := range delivery.Outcomes {
		meter.Attempted(outgoing.Kind, outcome)
	}
	meter.Attempted(outgoing.Kind, "again")
	got := scrape(t, h.handler(t))
	for outcome, want := range map[string]float64{"delivered": 1, "again": 2, "refused": 1, "given_up": 1} {
		if value := got[`postern_delivery_attempts_total{kind="webhook",outcome="`+outcome+`"}`]; value != want {
			t.Errorf("%s: %v, want %v", outcome, value, want)
		}
	}
}
