"""The rules of the house: plain functions over plain frozen data, standard library only."""
