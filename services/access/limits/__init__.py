"""The limits: what gateways together have spent of the rates of keys and tenants."""
