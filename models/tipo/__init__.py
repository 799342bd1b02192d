"""TIPO: text presampling for prompt optimization."""
