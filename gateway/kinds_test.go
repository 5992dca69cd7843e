package gateway_test

import (
	"encoding/json"
	"slices"
	"testing"

	"postern/core/seal"
	"postern/gateway"
	"postern/siem/ocsf"
	"postern/siem/sink"
)

// What a kind says of itself is so, and needs what it has fields for.
func TestKindsSayWhatTheyCan(t *testing.T) {
	h := build(t, nil)
	told := map[string][2]string{ // settings, and a credential
		"splunk":        {`{"urls":["https://splunk.example.com:8088"]}`, "token"},
		"sumologic":     {`{}`, "url"},
		"otlp":          {`{"url":"https://collector.example.com:4318"}`, "authorization"},
		"elasticsearch": {`{"url":"https://elasticsearch.example.com:9200"}`, "api_key"},
		"syslog":        {`{"address":"syslog.example.com:6514"}`, ""},
		"webhook":       {`{"url":"https://hook.example.com"}`, "signing"},
	}
	for name, kind := range h.gateway.Kinds() {
		t.Run(name, func(t *testing.T) {
			credentials := map[string]seal.Secret{}
			for _, field := range kind.Fields {
				if field.Credential && (field.Required || field.Name == told[name][1]) {
					credentials[field.Name] = seal.NewSecret("https://receiver.example.com/canary")
					if name == "webhook" {
						credentials[field.Name] = seal.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
					}
				}
			}
			receiver, err := kind.Build(json.RawMessage(told[name][0]), credentials)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = receiver.Close() }()
			if _, holds := receiver.(sink.Holder); holds != kind.Abilities.Asked.Able {
				t.Errorf("it can be asked: %v, and says %v", holds, kind.Abilities.Asked.Able)
			}
			for _, ability := range []sink.Ability{kind.Abilities.Asked, kind.Abilities.Acknowledges} {
				for _, need := range ability.Needs {
					if !slices.ContainsFunc(kind.Fields, func(field sink.Field) bool { return field.Name == need }) {
						t.Errorf("it needs %s, which nobody can give it", need)
					}
				}
				if ability.Able && len(ability.Needs) > 0 && ability.Of(json.RawMessage(told[name][0]), nil) {
					t.Errorf("it is able without %v", ability.Needs)
				}
			}
		})
	}
	splunk := h.gateway.Kinds()["splunk"].Abilities
	for _, test := range []struct {
		settings    string
		credentials []string
		able        bool
		advice      string
	}{
		{`{}`, nil, false, "give it search_url and search_token"},
		{`{"search_url":""}`, []string{"search_token"}, false, "give it search_url"},
		{`{"search_url":"https://splunk.example.com:8089"}`, []string{"token"}, false, "give it search_token"},
		{`{"search_url":"https://splunk.example.com:8089"}`, []string{"token", "search_token"}, true, ""},
	} {
		if able, advice := splunk.Asked.Of(json.RawMessage(test.settings), test.credentials), splunk.Asked.Advice(json.RawMessage(test.settings), test.credentials); able != test.able || advice != test.advice {
			t.Errorf("%s with %v: %v, %q", test.settings, test.credentials, able, advice)
		}
	}
	if splunk.Acknowledges.Of(json.RawMessage(`{"acknowledge":false}`), nil) || !splunk.Acknowledges.Of(json.RawMessage(`{"acknowledge":true}`), nil) {
		t.Error("acknowledge: false acknowledges, or true does not")
	}
}

func TestTheVersionOfOCSFIsASetting(t *testing.T) {
	for given, want := range map[string]ocsf.Version{"": ocsf.Version18, "1.8": ocsf.Version18, "1.9": ocsf.Version19} {
		if got := build(t, func(c *gateway.Config) { c.OCSF = given }).gateway.Own().Mapper.Version; got != want {
			t.Errorf("%q: %s", given, got)
		}
	}
}
