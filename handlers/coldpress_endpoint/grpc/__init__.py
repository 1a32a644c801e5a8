"""The Open Inference Protocol's messages for gRPC, generated from open_inference.proto."""
