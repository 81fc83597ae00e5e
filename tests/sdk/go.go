// The generated Go client before a server that runs. One line for each check, then the counts.
//
// It is built in target/sdk/go, beside the generated package; ADMIN and PASSWORD are in the environment and the server's
// address is the only argument.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"client/daypass"
)

const ownPassword = "quiet rivers bend slowly"

var (
	passed, failed int
	api            *daypass.APIClient
)

func check(name string, body func() error) {
	if err := body(); err != nil {
		failed++
		fmt.Printf("FAILED  %s\n%v\n", name, err)
		return
	}
	passed++
	fmt.Printf("ok      %s\n", name)
}

func withToken(token string) context.Context {
	return context.WithValue(context.Background(), daypass.ContextAccessToken, token)
}

func logIn(username, password string) (*daypass.IssuedToken, error) {
	request := daypass.NewLoginRequest(username, password)
	issued, _, err := api.SessionAPI.Login(context.Background()).LoginRequest(*request).Execute()
	return issued, err
}

func expect(holds bool, seen any) error {
	if holds {
		return nil
	}
	return fmt.Errorf("unexpected: %+v", seen)
}

func expectProblem(err error, status int32, kind string) error {
	var failure *daypass.GenericOpenAPIError
	if !errors.As(err, &failure) {
		return fmt.Errorf("no error of the API's: %v", err)
	}
	problem, typed := failure.Model().(daypass.Problem)
	return expect(typed && problem.Status == status && problem.Type == kind, failure.Model())
}

func main() {
	configuration := daypass.NewConfiguration()
	configuration.Servers = daypass.ServerConfigurations{{URL: os.Args[1]}}
	api = daypass.NewAPIClient(configuration)

	var mine context.Context
	var issued []*daypass.IssuedToken

	check("Go logs in", func() error {
		admin, err := logIn(os.Getenv("ADMIN"), os.Getenv("PASSWORD"))
		if err != nil {
			return err
		}
		request := daypass.NewCreateUserRequest("go", ownPassword)
		user, _, err := api.UsersAPI.CreateUser(withToken(admin.Token)).CreateUserRequest(*request).Execute()
		if err != nil {
			return err
		}
		session, err := logIn("go", ownPassword)
		if err != nil {
			return err
		}
		mine = withToken(session.Token)
		owner := session.User.Get()
		return expect(!user.LastLoginAt.IsSet() || user.LastLoginAt.Get() == nil &&
			session.Kind == daypass.TOKENKIND_SESSION && owner.Username == "go", session)
	})

	check("Go issues", func() error {
		for number := 0; number < 3; number++ {
			request := daypass.NewIssueRequest()
			request.SetName(fmt.Sprintf("number %d", number))
			request.SetTtl(3600)
			token, _, err := api.TokensAPI.IssueToken(mine).IssueRequest(*request).Execute()
			if err != nil {
				return err
			}
			if token.Kind != daypass.TOKENKIND_API || token.ExpiresAt.Sub(token.CreatedAt) != time.Hour {
				return expect(false, token)
			}
			issued = append(issued, token)
		}
		return nil
	})

	check("Go checks", func() error {
		active, _, err := api.CheckAPI.CheckToken(withToken(issued[0].Token)).Execute()
		if err != nil {
			return err
		}
		owner := active.User.Get()
		return expect(active.Active && active.Id == issued[0].Id && active.GetName() == "number 0" &&
			owner.Username == "go", active)
	})

	check("Go lists two pages", func() error {
		first, _, err := api.TokensAPI.ListTokens(mine).Limit(2).Execute()
		if err != nil {
			return err
		}
		second, _, err := api.TokensAPI.ListTokens(mine).Limit(2).Cursor(first.GetNextCursor()).Execute()
		if err != nil {
			return err
		}
		var names []string
		for _, token := range append(first.Items, second.Items...) {
			names = append(names, token.GetName())
		}
		whole := len(first.Items) == 2 && second.NextCursor.Get() == nil
		return expect(whole && fmt.Sprint(names) == "[number 2 number 1 number 0 ]", names)
	})

	check("Go is told of a bad token, with a type", func() error {
		_, _, err := api.TokensAPI.ListTokens(withToken("dps_nonsense")).Execute()
		return expectProblem(err, http.StatusUnauthorized, "urn:problem-type:daypass:token-unknown")
	})

	check("Go is told of an unknown id, with a type", func() error {
		_, _, err := api.TokensAPI.GetToken(mine, "01a214a3-0000-7000-8000-000000000000").Execute()
		return expectProblem(err, http.StatusNotFound, "about:blank")
	})

	check("Go revokes", func() error {
		if _, err := api.TokensAPI.RevokeToken(mine, issued[0].Id).Execute(); err != nil {
			return err
		}
		token, _, err := api.TokensAPI.GetToken(mine, issued[0].Id).Execute()
		if err != nil || token.State != daypass.TOKENSTATE_REVOKED {
			return fmt.Errorf("%v: %+v", err, token)
		}
		_, _, err = api.CheckAPI.CheckToken(withToken(issued[0].Token)).Execute()
		return expectProblem(err, http.StatusUnauthorized, "urn:problem-type:daypass:token-revoked")
	})

	// As cargo's runner ends, for tests/run to count.
	result := "ok"
	if failed > 0 {
		result = "FAILED"
	}
	fmt.Printf("\ntest result: %s. %d passed; %d failed; in Go\n", result, passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
