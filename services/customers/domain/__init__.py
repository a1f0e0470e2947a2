"""The domain knows neither wire nor store."""
