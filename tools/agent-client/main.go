// An application in Go that asks an agent (`dta serve`) by a client that was generated from docs/spec/openapi.json.
// Package agent is that client: made where this is built, and not in the tree. Exit codes: 0 done, 1 not, 2 wrong use.
//
//	agent-client SOCKET place BENEFICIARY < SECRET    places it; says the order
//	agent-client SOCKET receive ORDER > SECRET        receives it, and has its keys erased
//
// Its token is in AGENT_TOKEN.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"dta/tools/agent-client/agent"
)

const (
	callTime = 2 * time.Minute // longer than any call of the agent's waits
	allTime  = 8 * time.Minute
	maxBytes = 900_000
)

func main() {
	if len(os.Args) != 4 || (os.Args[2] != "place" && os.Args[2] != "receive") {
		fmt.Fprintln(os.Stderr, "usage: agent-client SOCKET place BENEFICIARY | SOCKET receive ORDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(socket, action, subject string) error {
	ctx, cancel := context.WithTimeout(context.Background(), allTime)
	defer cancel()
	client, err := connect(socket, os.Getenv("AGENT_TOKEN"))
	if err != nil {
		return err
	}
	if action == "place" {
		return place(ctx, client, subject)
	}
	return receive(ctx, client, subject)
}

// connect: over the agent's unix socket, with the token in each call.
func connect(socket, token string) (*agent.ClientWithResponses, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	caller := &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: callTime}
	authorise := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	return agent.NewClientWithResponses(
		"http://dta", agent.WithHTTPClient(caller), agent.WithRequestEditorFn(authorise))
}

// place: the whole of standard input, as text. The key makes of a call that is repeated no second order.
func place(ctx context.Context, client *agent.ClientWithResponses, beneficiary string) error {
	secret, err := io.ReadAll(io.LimitReader(os.Stdin, maxBytes))
	if err != nil {
		return err
	}
	key := "agent-client"
	asked := agent.NewOrder{Beneficiary: &beneficiary, Extension: &map[string]string{"plainText": string(secret)}}
	for {
		answer, err := client.OrdersPlaceWithResponse(ctx, &agent.OrdersPlaceParams{IdempotencyKey: &key}, asked)
		switch {
		case err != nil:
			return err
		case answer.JSON200 != nil:
			fmt.Println(answer.JSON200.OrderReference)
			return nil
		case answer.JSON202 == nil:
			return refused(answer.HTTPResponse, answer.ApplicationproblemJSON4XX, answer.ApplicationproblemJSON5XX)
		}
	}
}

// receive: a call waits a while for the fiduciaries; asked again, the agent goes on with the same request.
func receive(ctx context.Context, client *agent.ClientWithResponses, order string) error {
	asked := agent.SecretAsked{OrderReference: &order}
	for {
		answer, err := client.SecretsAskWithResponse(ctx, &agent.SecretsAskParams{}, asked)
		switch {
		case err != nil:
			return err
		case answer.JSON200 != nil:
			if _, err := os.Stdout.Write(answer.JSON200.Secret); err != nil {
				return err
			}
			return done(ctx, client, answer.JSON200.Request)
		case answer.JSON202 == nil:
			return refused(answer.HTTPResponse, answer.ApplicationproblemJSON4XX, answer.ApplicationproblemJSON5XX)
		}
	}
}

func done(ctx context.Context, client *agent.ClientWithResponses, request string) error {
	answer, err := client.SecretsDoneWithResponse(ctx, request, &agent.SecretsDoneParams{}, agent.SecretsDoneJSONRequestBody{})
	if err != nil {
		return err
	}
	if answer.JSON200 == nil {
		return refused(answer.HTTPResponse, answer.ApplicationproblemJSON4XX, answer.ApplicationproblemJSON5XX)
	}
	return nil
}

// refused: what a problem says, by the fields that the description declares.
func refused(response *http.Response, problems ...*agent.Problem) error {
	for _, problem := range problems {
		if problem != nil {
			return fmt.Errorf("%s (%d): %s", problem.Type, problem.Status, problem.Detail)
		}
	}
	return errors.New("the agent answered " + response.Status)
}
