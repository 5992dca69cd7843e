package demo

import (
	"context"
	"net/http"
	"time"
)

// Ready waits until Postern says that it can do its work.
func Ready(ctx context.Context, gateway string) error {
	return until(ctx, 2*time.Minute, "Postern to be ready", func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/readyz", nil)
		if err != nil {
			return false, err
		}
		response, err := (&http.Client{Timeout: 5 * time.Second}).Do(request)
		if err != nil {
			return false, err
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}
