"""The gate: what a smaller model must prove, in a fresh process through the engine that ships, before it may ship."""
