"""Static int8: convolutions and products that compute with integers, by scales found on samples beforehand."""
