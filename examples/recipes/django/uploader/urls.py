"""The addresses of the app."""

from django.urls import path

from uploader import views

urlpatterns = [path("", views.page), path("ticket", views.ticket), path("arrived", views.arrived)]
