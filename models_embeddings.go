package letta

import (
	"context"
	"net/http"
)

// ModelEmbeddingService is client.Models.Embeddings.
type ModelEmbeddingService struct{ core *core }

// List gets all embedding models.
func (s *ModelEmbeddingService) List(ctx context.Context, opts ...RequestOption) ([]*EmbeddingModel, error) {
	return do[[]*EmbeddingModel](ctx, s.core, request{op: Operation{"models.embeddings.list", http.MethodGet, "/v1/models/embedding"}}, opts)
}

// EmbeddingModel is an embedding model. Handle is what AgentCreateParams.Embedding takes.
type EmbeddingModel struct {
	DisplayName  string `json:"display_name"`
	EmbeddingDim int    `json:"embedding_dim"`
	// Deprecated: use ProviderType.
	EmbeddingEndpointType string `json:"embedding_endpoint_type"`
	// Deprecated: use Name.
	EmbeddingModel string       `json:"embedding_model"`
	Name           string       `json:"name"`
	ProviderName   string       `json:"provider_name"`
	ProviderType   ProviderType `json:"provider_type"`
	// Deprecated: nothing replaces it; do not rely on it.
	AzureDeployment string `json:"azure_deployment,omitzero"`
	// Deprecated: nothing replaces it; do not rely on it.
	AzureEndpoint string `json:"azure_endpoint,omitzero"`
	// Deprecated: nothing replaces it; do not rely on it.
	AzureVersion string `json:"azure_version,omitzero"`
	// Deprecated: nothing replaces it; do not rely on it.
	BatchSize int `json:"batch_size"`
	// Deprecated: nothing replaces it; do not rely on it.
	EmbeddingChunkSize int `json:"embedding_chunk_size,omitzero"`
	// Deprecated: nothing replaces it; do not rely on it.
	EmbeddingEndpoint string    `json:"embedding_endpoint,omitzero"`
	Handle            string    `json:"handle,omitzero"`
	ModelType         ModelType `json:"model_type"`
}
