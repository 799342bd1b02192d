"""The bundled world: a procedural landscape whose joint distribution is known exactly."""
