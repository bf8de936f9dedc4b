package pricing

import "testing"

func TestEndpoints(t *testing.T) {
	table, err := ParseEndpoints([]string{
		"gw.acme.example=openai", "gw.acme.example/*/anthropic=anthropic", "gw.acme.example:8443/eu=Azure.AI.OpenAI",
		"gw.acme.example/eu=groq", "[::1]:9000=lab", "https://other.example/v1/=x_ai", "elsewhere.example/v1",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host     string
		port     int
		path     string
		provider string
		ok       bool
	}{
		{"gw.acme.example", 443, "/v1/chat/completions", "openai", true},
		{"GW.Acme.Example", 0, "", "openai", true},
		{"gw.acme.example", 443, "/team-a/anthropic/v1", "anthropic", true},
		{"gw.acme.example", 443, "/team-a/anthropics/v1", "openai", true},
		{"gw.acme.example", 8443, "/eu/v1", "azure.ai.openai", true},
		{"gw.acme.example", 443, "/eu/v1", "groq", true},
		{"gw.acme.example", 443, "/europe", "openai", true},
		{"::1", 9000, "/", "lab", true},
		{"::1", 9001, "/", "", false},
		{"other.example", 443, "/v1/chat", "x_ai", true},
		{"other.example", 443, "/v2/chat", "", false},
		{"elsewhere.example", 443, "/v1/chat", "", true},
		{"sub.gw.acme.example", 443, "/", "", false},
		{"", 0, "/", "", false},
	} {
		if provider, ok := table.Lookup(test.host, test.port, test.path); provider != test.provider || ok != test.ok {
			t.Errorf("%s:%d%s is %q, %v, want %q, %v", test.host, test.port, test.path, provider, ok, test.provider, test.ok)
		}
	}
	for _, bad := range []string{"", "=openai", "host:port=openai", "host:99999=openai", "/v1=openai"} {
		if _, err := ParseEndpoints([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	var none *EndpointTable
	if _, ok := none.Lookup("x", 1, "/"); ok {
		t.Error("no table found something")
	}
}
